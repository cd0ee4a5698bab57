"""Reading a work directory back: this version's, one of 0.2.0, and what is not there."""

import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import scaledis
from scaledis.core.errors import UserError
from scaledis.core.files import read_json, write_sealed
from scaledis.datasets.base import sampling
from scaledis.sweeps.expand import expand
from scaledis.training.extract import extract
from scaledis.training.load import load_results, load_run
from scaledis.workdir import claims, table
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import Records, read_records
from tests import tiny

DATASET = tiny.dataset()
WITH_BANK = Path(__file__).with_name("workdir_0.2.0.zip")
PAIR = ("vlae", "scale_vlae")


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    configs = [tiny.config(method__name="vlae", model__network="", train__steps=4, seed=seed) for seed in (0, 1)]
    scaledis.train(configs, DATASET, workdir=folder)
    return folder


def test_a_bank_of_0_2_0_is_read_and_reported_and_not_gone_on_with(tmp_path):
    """Its remembered posteriors have no image numbers, which only the next training step would need."""
    with zipfile.ZipFile(WITH_BANK) as archive:
        archive.extractall(tmp_path)
    for name in PAIR:
        model = load_run(tmp_path, name)
        assert model.step == 6 and (model.state.extra.number == -1).all()
        with np.load(tmp_path / "runs" / name / "codes.npz") as codes:
            found = model.encode(DATASET.images(codes["index"]))
            np.testing.assert_allclose(found.mean, codes["mean"], rtol=1e-4, atol=1e-6)
    line = ["--config=tests/tiny_config.py", "--sweep=method.name=vlae,scale_vlae", f"--workdir={tmp_path}"]
    line += ["--config.objective.estimator=memory_bank", "--config.train.keep=1", "--config.model.network="]
    before = tiny.tree(tmp_path / "checkpoints")
    done = tiny.command(*line, "--config.evaluate.test_codes=36")
    assert done.returncode == 0 and "| vlae" in done.stdout, done.stderr
    assert read_json(tmp_path / "runs" / "vlae" / "scores.json")["test_codes"] == 36
    sentence = "can be loaded, scored and reported, but not trained further: version 0.2.0 wrote it"
    done = tiny.command(*line, "--config.train.steps=8", "--stages=train")
    assert done.returncode and re.search(sentence, done.stderr)
    with pytest.raises(UserError, match=sentence):
        extract(tmp_path, "vlae", tmp_path / "alone")
    assert tiny.tree(tmp_path / "checkpoints") == before


def test_a_workdir_of_0_2_0_is_read_reported_and_rescored_marked_as_unsealed_and_sealed_when_written(tmp_path):
    with zipfile.ZipFile(WITH_BANK) as archive:
        archive.extractall(tmp_path)
    workdir, before = Workdir(tmp_path), tiny.tree(tmp_path)
    assert load_run(tmp_path, "vlae").step == 6
    found = load_results(tmp_path).set_index("run")
    assert not found["sealed"].any() and found["step"].tolist() == [6, 6]
    for name in PAIR:
        assert found.loc[name, "mig/mig"] == read_json(workdir.run(name) / "scores.json")["all"]["mig/mig"]
    assert tiny.tree(tmp_path) == before

    line = ["--config=tests/tiny_config.py", "--sweep=method.name=vlae,scale_vlae", f"--workdir={tmp_path}"]
    line += ["--config.train.keep=1", "--config.objective.estimator=memory_bank", "--config.model.network="]
    done = tiny.command(*line, "--stages=evaluate,report", "--config.evaluate.metrics=dci,mig,modularity")
    assert done.returncode == 0, done.stderr
    assert "Without checksums, as an older version wrote it: vlae, scale_vlae." in done.stdout
    for name in PAIR:
        scores = read_json(workdir.run(name) / "scores.json", needs_seal=True)
        assert scores["all"]["mig/mig"] == found.loc[name, "mig/mig"] and "modularity/explicitness" in scores["all"]
    table = load_results(tmp_path)
    assert table["modularity/explicitness"].notna().all() and not table["sealed"].any()  # the logs are as they were

    claims.claim(workdir, {"config": {}, "sweep": [], "command": "test"}, workdir.runs())
    assert read_json(workdir.config, needs_seal=True)["begun"] == "0.2.0" and workdir.groups() == [
        [name] for name in PAIR
    ]
    for run in workdir.runs():
        workdir.write_config(run, workdir.dataset_of(run.name))
        Records(workdir.run(run.name) / "metrics.jsonl", 6, needs_seals=workdir.needs_seals)
        log = read_records(workdir.run(run.name) / "metrics.jsonl", 6)
        assert [record["step"] for record in log] == [2, 4, 6] and log[-1]["loss_nats"] > 500
    shutil.rmtree(tmp_path / "results")
    assert load_results(tmp_path)["sealed"].all()


def test_loading_changes_nothing_and_takes_any_step(new):
    before = tiny.tree(new)
    newest, early = load_run(new, "seed=1"), load_run(new, "seed=1", step=2)
    assert (newest.step, early.step) == (4, 2) and newest.config.seed == 1
    images = DATASET.images(np.arange(4))
    assert not np.array_equal(newest.encode(images).mean, early.encode(images).mean)
    table = load_results(new)
    assert table["run"].tolist() == ["seed=0", "seed=1"] and table["seed"].tolist() == [0, 1]
    assert (table["fingerprint"] == DATASET.fingerprint).all() and table["final/loss_nats"].notna().all()
    assert not [name for name in table if name.startswith("train.")]  # only what varies
    assert tiny.tree(new) == before


def test_tables_of_several_directories_are_one(new, tmp_path):
    with zipfile.ZipFile(WITH_BANK) as archive:
        archive.extractall(tmp_path)
    table = load_results([new, tmp_path])
    assert table["workdir"].tolist() == [str(new)] * 2 + [str(tmp_path)] * 2
    assert "method.name" in table and "train.steps" in table
    # A key that 0.2.0 did not have yet has its default, so that it does not vary.
    assert not {"data.scale", "train.evaluate_every", "model.network"} & {*table}


def test_runs_of_data_that_have_changed_are_said_to_be_on_two_data_sets(new, monkeypatch, capsys):
    load_results([new, new])
    assert "data sets" not in capsys.readouterr().err
    read = table.read

    def of_other_labels(directory):
        rows, keys = read(directory)
        return rows.assign(fingerprint=["0123", *rows["fingerprint"][1:]]), keys

    monkeypatch.setattr(table, "read", of_other_labels)
    load_results(new)
    assert f"the runs have 2 data sets with the name {DATASET.name!r}, whose images or" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name: .* holds 2 runs; name one of seed=0, seed=1"),
        ({"name": "seed=2"}, "name: 'seed=2' is unknown. Did you mean 'seed="),
        ({"name": "seed=1", "step": 3}, r"step: there is no checkpoint of step 3; there are \[2, 4\]"),
    ],
)
def test_what_is_not_there_is_one_clear_error(new, options, message):
    with pytest.raises(UserError, match=message):
        load_run(new, **options)


def test_a_directory_without_an_experiment_or_a_checkpoint_is_one_clear_error(tmp_path):
    for load in (load_run, load_results):
        with pytest.raises(UserError, match="holds no experiment"):
            load(tmp_path / "none")
    assert not list(tmp_path.iterdir())
    claims.claim(Workdir(tmp_path), {"config": {}, "sweep": [], "command": "test"}, expand(tiny.plain(), []))
    with pytest.raises(UserError, match="has no checkpoint of run"):
        load_run(tmp_path)
    table = load_results(tmp_path)
    assert table["run"].tolist() == ["run"] and table["fingerprint"].isna().all()


def test_damage_is_one_clear_error_that_names_it(new, tmp_path):
    copy = Path(shutil.copytree(new, tmp_path / "copy"))
    for step in (2, 4):
        (copy / f"checkpoints/0/{step}/manifest.json").write_text("{}")
    with pytest.raises(UserError, match="every checkpoint of seed=0, seed=1 in .* is damaged"):
        load_run(copy, "seed=0")
    with pytest.raises(UserError, match="step: the checkpoint of step 4 of seed=0 is damaged"):
        load_run(copy, "seed=0", step=4)
    config = copy / "runs/seed=0/config.json"
    held = read_json(config)
    for dataset in ([1], {"name": "tiny"}):
        write_sealed(config, held | {"dataset": dataset})
        for load in (lambda: load_run(copy, "seed=0"), lambda: load_results(copy)):
            with pytest.raises(UserError, match="seed=0/config.json is damaged: "):
                load()


def test_facts_are_enough_to_load_a_run_without_its_data_set(new, monkeypatch):
    monkeypatch.setattr(sampling, "load_dataset", None)
    assert load_run(new, "seed=0").step == 4
