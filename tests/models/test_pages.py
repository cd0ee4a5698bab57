"""The code of docs/models.md on pictures, other runtimes, scikit-learn and the hub runs as it stands."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

import scaledis
from scaledis.datasets import Dataset, rows
from tests import example_of, tiny

PAGE = "docs/models.md"


@pytest.fixture
def names(tmp_path, monkeypatch):
    """The model that comes with the package, and images of its size."""
    monkeypatch.chdir(tmp_path)
    images = np.kron(np.asarray(tiny.dataset().source), np.ones((1, 2, 2, 1), np.uint8))
    own = tiny.dataset()
    data = Dataset("tiny", own.factor_names, own.factor_values, (32, 32, 3), images, rows)
    factors = own.factors(np.arange(96))
    return {"scaledis": scaledis, "model": scaledis.load_model(), "images": images, "factors": factors, "data": data}


def test_pictures(names, tmp_path):
    exec(example_of("Pictures", PAGE), names)
    assert len([*tmp_path.glob("*.png")]) == 4


def test_other_runtimes(names):
    pytest.importorskip("onnxruntime")
    exec(example_of("In other runtimes", PAGE), names)
    expected = names["model"].decode(names["model"].encode(names["images"]).mean)
    np.testing.assert_allclose(names["decoded"], expected, atol=1e-4)  # codes and images each to 1e-5


def test_scikit_learn(names, tmp_path):
    small = '"model.channels": (1, 1, 1, 1), "method.beta"'
    code = example_of("In scikit-learn", PAGE).replace("steps=2000", "steps=1").replace('"method.beta"', small)
    exec(code, names)
    assert repr(scaledis.load_model(tmp_path / "probe")) == "Model(beta_vae, 10 units, arrays, seed 0, step 1)"


def test_the_hub(names, tmp_path, monkeypatch):
    def push(self, repo):
        self.save(tmp_path / repo)

    monkeypatch.setattr(type(names["model"]), "push_to_hub", push)
    exec(example_of("On the Hugging Face hub", PAGE), names)
    assert names["again"].about == names["model"].about


def test_importing_the_package_loads_no_library_of_an_extra():
    extras = ("sklearn", "matplotlib", "onnx", "onnxruntime", "huggingface_hub")
    for code, heavy in (("import scaledis", (*extras, "jax")), ("import scaledis.types", (*extras[2:], "matplotlib"))):
        assert all(importlib.util.find_spec(name) for name in heavy)
        done = f"import sys; {code}; print([name for name in {heavy!r} if name in sys.modules])"
        assert subprocess.run([sys.executable, "-c", done], capture_output=True, text=True).stdout.strip() == "[]"
