import dataclasses

import numpy as np
import pytest

from scaledis import evaluate, report, sweep, train
from scaledis.workdir import Workdir, read_json
from tests import tiny
from tests.test_train import never

GRID = tiny.dataset()
NAMELESS = dataclasses.replace(GRID, factor_names=(), factor_values=(), table=np.zeros((96, 0), np.int32))


def test_codes_come_from_the_split_and_train_and_test_are_disjoint():
    config = tiny.config(
        data__held_out=0.5, evaluate__split="held_out", evaluate__train_codes=30, evaluate__test_codes=18
    )
    index = evaluate.sampled(GRID, config)
    assert len(set(index)) == 48
    other = evaluate.sampled(
        GRID, dataclasses.replace(config, evaluate=dataclasses.replace(config.evaluate, split="train"))
    )
    assert not set(index) & set(other)


def test_a_split_that_is_too_small_is_an_error_that_names_both_numbers():
    with pytest.raises(ValueError, match="100 codes, but tiny has 96 images in the split 'all'"):
        evaluate.sampled(GRID, tiny.config(evaluate__train_codes=60, evaluate__test_codes=40))


def test_images_without_factors_train_and_are_drawn_and_no_metric_applies(tmp_path, capsys):
    workdir = Workdir(tmp_path)
    members = sweep.expand(tiny.plain(train__steps=2), [])
    workdir.claim({"config": tiny.plain(train__steps=2), "sweep": [], "command": "test"})
    train.train(members, 0, NAMELESS, workdir, never)
    evaluate.evaluate(members, 0, NAMELESS, workdir, never)
    assert "no factors, so that no metric applies" in capsys.readouterr().err
    scores = read_json(workdir.run("run") / "scores.json")
    assert scores["all"] == {} and len(scores["unit_kl_nats"]) == 3
    report.write([members], NAMELESS, workdir)
    assert (workdir.report / "traversals.png").exists()
