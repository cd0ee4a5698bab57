"""The other doors to the metrics: a file on the command line, and anyone's encoder on a data set."""

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from scaledis import metrics
from scaledis.core.errors import UserError
from scaledis.metrics import __main__ as command
from scaledis.metrics.shared import encoding
from tests import archives, tiny
from tests.frameworks import Exchanged, Tensor
from tests.metrics import crafted

CODES, FACTORS, _ = crafted.CODES["perfect"]
DATASET = tiny.dataset()


@pytest.fixture
def file(tmp_path):
    np.savez(tmp_path / "codes.npz", codes=CODES, factors=FACTORS)
    return tmp_path / "codes.npz"


def test_a_file_gives_a_table_and_json(file, capsys):
    command.main([str(file), "--metrics=mig,tad", "--protocol=hfs", "--n_bootstrap=20", "--chance=2"])
    printed = capsys.readouterr()
    scores = json.loads(file.with_suffix(".scores.json").read_text())
    assert scores["mig/mig"] == pytest.approx(1)
    assert scores["mig/protocol"] == "hfs"
    lines = [line.split() for line in printed.out.splitlines()]
    assert lines[0][:2] == ["mig/mig", "1.0000"] and lines[0][2].startswith("[")
    assert lines[0][-2:] == ["chance", f"{scores['mig/mig_chance']:.4f}"] and len(lines) == 3
    assert ["tad/tad", "none"] in lines
    assert "no factor has two classes" in printed.err


def test_scores_that_cannot_be_written_leave_the_old_ones(file, monkeypatch):
    out = file.with_suffix(".scores.json")
    out.write_text("old")
    monkeypatch.setattr(Path, "replace", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="--out: .*codes.scores.json cannot be written: No space left"):
        command.main([str(file), "--metrics=tad"])
    assert out.read_text() == "old" and {*file.parent.iterdir()} == {file, out}


def test_a_file_is_scored_beside_noise_of_its_shape(file, capsys):
    command.main([str(file), "--metrics=mig,tad", "--chance=2", "--floor"])
    scores = json.loads(file.with_suffix(".scores.json").read_text())
    floor = scores["floor"]["noise"]
    noise = encoding.noise(CODES.shape, 0)
    expected = metrics.compute(["mig", "tad"], noise, FACTORS, chance=0, rows=metrics.ROWS)
    assert 0 <= floor["mig/mig"] == expected["mig/mig"] < 0.1 < scores["mig/mig"] and "mig/mig_chance" not in floor
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][-4:] == ["chance", f"{scores['mig/mig_chance']:.4f}", "floor", f"{floor['mig/mig']:.4f}"]
    command.main([str(file), "--metrics=mig"])
    assert "floor" not in json.loads(file.with_suffix(".scores.json").read_text())
    assert "floor" not in capsys.readouterr().out


def test_the_codes_of_a_run(tmp_path):
    posteriors = {"mean": 1e-6 * FACTORS, "log_variance": np.zeros(FACTORS.shape), "levels": [0, 0, 1]}
    np.savez(tmp_path / "codes.npz", factors=FACTORS, index=np.arange(len(FACTORS)), **posteriors)
    command.main([str(tmp_path / "codes.npz"), "--metrics=mig,level"])
    scores = json.loads((tmp_path / "codes.scores.json").read_text())
    assert scores["mig/mig"] == pytest.approx(1)
    assert 0 <= scores["mig/mig_sampled"] < 0.05
    assert len(scores["level/tc_within"]) == 2
    few = FACTORS[:300]
    still = {"mean": few, "factors": few, "log_variance": np.full(few.shape, -np.inf), "levels": [0, 0, 1]}
    np.savez(tmp_path / "codes.npz", **still)
    command.main([str(tmp_path / "codes.npz"), "--metrics=mig,level"])
    scores = json.loads((tmp_path / "codes.scores.json").read_text())
    assert 0.9 < scores["mig/mig_sampled"] == scores["mig/mig"] <= 1  # a sample is the mean
    assert scores["mig/unit_kl_nats"] == [None] * 3 and "level/tc_within" in scores and not scores["level/tc_within"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "codes.npz: there is no such file"),
        (lambda path: path.write_text("1,2"), "codes.npz: not an .npz file of plain arrays"),
        (lambda path: np.savez(path, z=CODES), "codes.npz: it holds z; 'codes' or 'mean' is needed"),
        (lambda path: np.savez(path, codes=CODES), "factors: None; the metric 'mig' needs them"),
    ],
)
def test_a_bad_file_is_a_sentence(tmp_path, write, message):
    write(tmp_path / "codes.npz")
    with pytest.raises(UserError, match=message):
        command.main([str(tmp_path / "codes.npz"), "--metrics=mig"])


def test_the_shell_shows_the_sentence_alone(tmp_path):
    run = [sys.executable, "-m", "scaledis.metrics", "missing.npz"]
    found = subprocess.run(run, capture_output=True, text=True)
    assert found.returncode == 2
    assert found.stderr == "scaledis: missing.npz: there is no such file\n"


def flat(images):
    return np.asarray(images, np.float64).reshape(len(images), -1)


def test_a_protocol_of_one_metric_gives_it_every_image(monkeypatch):
    monkeypatch.setattr(metrics, "ROWS", 20)
    given = {"encode": lambda images: flat(images)[:, :2], "dataset": DATASET, "names": ["mig", "mcc"], "key": 0}
    for found in (
        metrics.evaluate(**given, options={"mig": {"protocol": "hfs"}}),
        metrics.evaluate(**given, protocol="hfs", options={"mcc": {"protocol": "library"}}),
    ):
        assert (found["mig/n"], found["mcc/n"]) == (DATASET.size, 20)
    few = metrics.evaluate(**given, protocol="hfs", options={"mig": {"protocol": "library"}})
    assert (few["mig/n"], few["mcc/n"]) == (20, 20)


def test_an_encoder_of_scikit_learn():
    pca = PCA(4, random_state=0).fit(flat(DATASET.images(np.arange(DATASET.size))))
    scores = metrics.evaluate(lambda images: pca.transform(flat(images)), DATASET, ["mig", "mcc"], 0)
    assert scores["mig/n"] == min(DATASET.size, metrics.ROWS)
    assert 0.3 < scores["mcc/spearman"] <= 1
    again = metrics.evaluate(lambda images: pca.transform(flat(images)), DATASET, ["mig", "mcc"], 0)
    assert scores == again


@pytest.mark.parametrize("write", [archives.damaged, archives.encrypted, archives.of_an_unknown_method])
def test_an_archive_that_cannot_be_read_is_a_sentence(tmp_path, write):
    path = tmp_path / "codes.npz"
    np.savez_compressed(path, codes=CODES, factors=FACTORS)
    write(path)
    with pytest.raises(UserError, match="codes.npz: (codes|factors) is unreadable .*, expected a plain array"):
        command.read(path)


@pytest.mark.parametrize("name", ["codes", "factors", "log_variance"])
def test_a_header_that_claims_petabytes_is_a_sentence(tmp_path, name):
    archives.claiming(tmp_path / "codes.npz", name, (2**50, 3))
    with pytest.raises(UserError, match=f"codes.npz: {name} is unreadable .*, expected a plain array"):
        command.read(tmp_path / "codes.npz")


@pytest.mark.parametrize("wrap", [Tensor, Exchanged, lambda codes: jnp.asarray(codes, jnp.bfloat16), np.ma.array])
def test_an_encoder_of_any_framework(wrap):
    expected = metrics.evaluate(lambda images: flat(images)[:, :2], DATASET, "mcc", 0)
    found = metrics.evaluate(lambda images: wrap(flat(images)[:, :2]), DATASET, "mcc", 0)
    assert found["mcc/pearson"] == pytest.approx(expected["mcc/pearson"], abs=1e-3)
    assert found["mcc/n"] == expected["mcc/n"]


def test_an_encoder_of_torch():
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(int(np.prod(DATASET.image_shape)), 3)
    scores = metrics.evaluate(lambda images: layer(torch.tensor(flat(images), dtype=torch.float32)), DATASET, "mcc", 0)
    assert 0 <= scores["mcc/pearson"] <= 1


def test_means_and_samples_of_posteriors():
    def encode(images):
        """A unit that has collapsed: its mean tells of the ground, its sample does not."""
        ground = flat(images).min(axis=1, keepdims=True)
        return 1e-6 * ground, np.zeros_like(ground)

    by_mean, by_sample = (
        metrics.evaluate(encode, DATASET, "mig", jax.random.key(3), codes=codes) for codes in ("mean", "sampled")
    )
    assert by_mean["mig/per_factor"][0] == pytest.approx(1)
    assert 0 <= by_mean["mig/mig_sampled"] < by_mean["mig/mig"]
    assert 0 <= by_sample["mig/per_factor"][0] < 0.5
    assert "mig/mig_sampled" not in by_sample


def test_levels_of_an_encoder():
    scores = metrics.evaluate(lambda images: flat(images)[:, :3], DATASET, "level", 0, levels=[0, 0, 1])
    assert np.shape(scores["level/allocation"])[0] == 2


@pytest.mark.parametrize(
    ("encode", "settings", "message"),
    [
        (lambda images: flat(images).sum(axis=1), {}, r"encode: \d+ images gave \(\d+,\); one row of codes"),
        (lambda images: flat(images)[:, :2], {"codes": "sampled"}, "codes: 'sampled' needs an encoder"),
        (lambda images: flat(images)[:, :2], {"codes": "men"}, "codes: 'men' is unknown.*'mean'"),
        (lambda images: flat(images)[:, :2].astype(str), {}, "encode: text"),
        (None, {"key": -1}, "key: -1 must be a number from 0 to 4294967295"),
        (None, {"option": {}}, "metrics setting: 'option' is unknown"),
        (None, {"protocol": "hsf"}, "protocol: 'hsf' is unknown.*'hfs'"),
        (None, {"options": {"mig": {"bin": 3}}}, "option of metric 'mig': 'bin' is unknown"),
        (lambda images: np.ma.masked_less(flat(images)[:, :2], 99), {}, "encode: .* entries are masked"),
    ],
)
def test_a_bad_encoder_is_a_sentence(encode, settings, message):
    with pytest.raises(UserError, match=message):
        metrics.evaluate(encode, DATASET, "mig", **({"key": 0} | settings))
