"""Combinations of factors that are held out from training, and scored as a split."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import scaledis
from scaledis.config import Data, thaw
from scaledis.core.errors import UserError
from scaledis.datasets.base import sampling
from scaledis.sweeps.configs import freeze, make_config
from scaledis.sweeps.expand import expand
from tests import tiny

GRID = tiny.dataset()  # ground 4, place 8, colour 3
FACTORS = GRID.factors(np.arange(96))
NAMED = dataclasses.replace(
    GRID, factor_values=(np.array([0.1, 0.2, 0.1 + 0.2, 0.4]), np.arange(8), np.array(["red", "green", "blue"]))
)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ({"colour": "red"}, FACTORS[:, 2] == 0),
        ({"colour": "blue", "place": [0, 1]}, (FACTORS[:, 2] == 2) & (FACTORS[:, 1] < 2)),
        (
            {"place": (7,), "colour": ["red", "green"], "ground": 0.3},
            [f in ([2, 7, 0], [2, 7, 1]) for f in FACTORS.tolist()],
        ),
        ({"place": 3.0}, FACTORS[:, 1] == 3),
    ],
)
def test_images_that_have_a_value_of_each_factor_are_held_out(by, expected):
    data = Data(held_out_by=by)
    held = sampling.split(NAMED, data, "held_out")
    np.testing.assert_array_equal(held, np.flatnonzero(expected))
    np.testing.assert_array_equal(sampling.split(NAMED, data, "train"), np.flatnonzero(np.logical_not(expected)))
    assert sampling.share(NAMED, data) == np.mean(expected)
    drawn = sampling.draw(sampling.make_sampler(NAMED, data), jax.random.key(0), 5000)
    assert not {*np.asarray(drawn).tolist()} & {*held.tolist()} and len({*np.asarray(drawn).tolist()}) == 96 - len(held)


def test_numbers_are_equal_up_to_the_rounding_of_float32_and_an_equal_one_comes_first():
    places = np.array([0.1, 0.2, 0.3, 1.1, 2.1, 3.1, 4.1, 5.1], np.float32)
    images = dataclasses.replace(GRID, factor_values=(np.array([0, 1e9, 1e9 + 1, 2e9]), places, np.arange(3)))
    for by in ({"place": 0.3}, {"place": float(np.float32(0.3))}):
        np.testing.assert_array_equal(sampling.split(images, Data(held_out_by=by), "held_out") // 3 % 8, [2] * 12)
    held = sampling.split(images, Data(held_out_by={"ground": 1e9 + 1}), "held_out")
    assert set(FACTORS[held, 0]) == {2}
    with pytest.raises(UserError, match="place is never 0.11; it is 0.1, 0.2, 0.3"):
        sampling.split(images, Data(held_out_by={"place": 0.11}), "held_out")


def test_what_is_missing_has_no_value():
    table = FACTORS.astype(np.int32)
    table[:10, 1] = -1
    measured = dataclasses.replace(GRID, table=table, measured=True)
    held = sampling.split(measured, Data(held_out_by={"place": list(range(8))}), "held_out")
    np.testing.assert_array_equal(held, np.arange(10, 96))


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ({"color": "red"}, "data.held_out_by: 'color' is unknown. Did you mean 'colour'"),
        ({"colour": "pink"}, "data.held_out_by: colour is never 'pink'; it is red, green, blue."),
        ({"colour": 0}, "data.held_out_by: colour is never 0; it is red"),
        ({"ground": "0.1"}, "data.held_out_by: ground is never '0.1'; it is 0.1, 0.2"),
        ({"place": list(range(8))}, "data.held_out_by: .* leaves no images of tiny in the split 'train'"),
    ],
)
def test_combinations_that_there_are_not(by, message):
    with pytest.raises(UserError, match=message):
        sampling.split(NAMED, Data(held_out_by=by), "train")


WRONG = [{}, {"colour": []}, {"colour": None}, {"colour": {"a": 1}}, {1: 2}, 5, ("a", "b"), "{colour: 1}"]


@pytest.mark.parametrize("by", WRONG)
def test_what_is_no_combination_is_refused(by):
    with pytest.raises(UserError, match="data.held_out_by: .* must be `folder`, a factor, or a dictionary of factors"):
        make_config("vae", {"data.held_out_by": by})


def test_a_share_and_a_combination_exclude_each_other():
    with pytest.raises(
        UserError, match="data.held_out: 0.1 is a share, and data.held_out_by=.* names images; give one"
    ):
        make_config("vae", {"data.held_out_by": {"shape": 1}, "data.held_out": 0.1})


def test_a_combination_survives_its_config_as_json():
    first = make_config("vae", {"data.held_out_by": {"shape": 1, "object_hue": [0.0, 0.1]}})
    second = make_config("vae", {"data.held_out_by": {"object_hue": (0.0, 0.1), "shape": [1]}})
    assert first == second and hash(first.data) == hash(second.data)  # whatever their order
    assert freeze(json.loads(json.dumps(thaw(first)))) == first


def test_a_sweep_over_combinations():
    runs = expand(thaw(make_config("vae")), ['data.held_out_by={"shape": 1, "scale": [0.75, 1.25]},{"shape": 2}'])
    found = [run.config.data.held_out_by for run in runs]
    assert found == [(("scale", (0.75, 1.25)), ("shape", (1,))), (("shape", (2,)),)]


def test_the_command_line_takes_a_combination_and_the_report_says_its_share(tmp_path):
    arguments = ["train", "vae", f"--workdir={tmp_path}", "--steps=2"]
    settings = {"train.batch": 8, "evaluate.train_codes": 8, "evaluate.test_codes": 4, "evaluate.chance": 0}
    settings |= {"data.held_out_by": '{"colour": 1, "place": [0, 1, 2, 3]}', "evaluate.split": "held_out"}
    settings |= {"model.channels": "4,4,4,4", "model.parameters": 6000, "evaluate.metrics": "mig"}
    done = tiny.command(*arguments, *(f"--config.{key}={value}" for key, value in settings.items()))
    assert done.returncode == 0, done.stderr
    assert scaledis.load_results(tmp_path)["split"].tolist() == ["held_out"]
    scores = json.loads(next((tmp_path / "runs").glob("*/scores.json")).read_text())
    assert scores["split"] == "held_out" and scores["held_out"] == 16 / 96
    assert scores["train_codes"] + scores["test_codes"] == 12
    with np.load(next((tmp_path / "runs").glob("*/codes.npz"))) as codes:
        factors = codes["factors"]
    assert (factors[:, 2] == 1).all() and (factors[:, 1] < 4).all()
