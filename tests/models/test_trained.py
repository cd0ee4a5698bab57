"""The model that comes with the package: it is what it says, and the code of its page runs."""

import re
from pathlib import Path

import numpy as np
import pytest

import scaledis
from experiments import protocol, trained
from scaledis import models
from scaledis.datasets.base import sampling
from tests import tiny

PAGE = (Path(__file__).parents[2] / "docs/models.md").read_text()


@pytest.fixture(scope="module")
def model():
    return scaledis.load_model()


def test_it_is_found_by_its_name(model):
    assert models.names() == [models.DEFAULT]
    assert scaledis.load_model(models.DEFAULT).about == model.about
    assert repr(model) == f"Model(pro_scale_vlae, 3-3-2-2 units, rendered, seed {model.config.seed}, step {model.step})"
    size = (models.TRAINED / models.DEFAULT / "model.safetensors").stat().st_size
    assert 4 * 140_000 < size < 4 * 160_000  # float32 parameters, no optimizer, no bank
    assert model.about["data"]["factors"]["floor_hue"] == 10 and re.fullmatch("[0-9a-f]{7,}", model.about["commit"])


def test_codes_that_it_decodes_it_encodes_again(model):
    """The units of the top level come back, and more or less the others, but for the two of level 2, which are dead."""
    codes = np.random.default_rng(0).standard_normal((256, 10))
    images = np.rint(255 * model.decode(codes)).astype(np.uint8)
    again = model.encode(images).mean
    alive = again.std(0) > 0.01
    assert alive.tolist() == [True] * 6 + [False] * 2 + [True] * 2
    correlation = [np.corrcoef(codes[:, unit], again[:, unit])[0, 1] for unit in np.flatnonzero(alive)]
    assert min(correlation[:3]) > 0.9 and min(correlation) > 0.3 and images.std(0).mean() > 20


def test_the_code_of_its_page_runs(model, monkeypatch, capsys):
    """On 96 images in place of `rendered`, whose maps take ten seconds."""
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) == 10
    images = np.kron(np.asarray(tiny.dataset().source), np.ones((1, 2, 2, 1), np.uint8))

    class Small:
        def sample(self, number):
            return images[:number], tiny.dataset().factors(np.arange(number))

    monkeypatch.setattr(scaledis, "load_dataset", lambda name, resolution: Small())
    found = {}
    exec(code.replace("3000", "96"), found)
    assert found["traversal"].shape == (7, 32, 32, 3) and found["codes"].mean.shape == (96, 10)
    assert np.ptp(found["traversal"], axis=0).max() > 0.1
    assert 0 <= float(capsys.readouterr().out) <= 1


def test_the_scores_of_its_page_are_those_in_its_folder(model):
    scores = model.about["scores"]
    for title, key in protocol.SCORES.items():
        low, high = scores[f"{key}_interval"]
        assert 0 <= low <= scores[key] <= high <= 1
        assert f"| {title} | {scores[key]:.3f} | {low:.3f} to {high:.3f} |" in PAGE
    assert f"{model.step:,} steps" in PAGE


@pytest.mark.slow
def test_its_scores_can_be_made_again(model):
    dataset = sampling.load_dataset(model.config.data)
    assert dataset.fingerprint == model.about["data"]["fingerprint"]
    found = trained.scored(model)
    assert all(found[key] == pytest.approx(model.about["scores"][key], abs=0.02) for key in protocol.SCORES.values())
