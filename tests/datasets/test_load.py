"""The door: what `datasets.load` asks of a data set, and what it refuses."""

import importlib
import inspect
import re
import types
from pathlib import Path

import numpy as np
import pytest

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.datasets import CACHE, Dataset, Options, rows


@pytest.fixture
def mine(monkeypatch):
    """A user's own data set: a module with `load`."""

    def load(directory, options):
        return Dataset("mine", (), (), (16, 16, 1), module.images, rows, np.zeros((len(module.images), 0), np.int32))

    module = types.SimpleNamespace(load=load, images=np.full((3, 16, 16, 1), 200, np.uint8))
    monkeypatch.setattr(datasets.registry, "module", lambda *_: module)
    return module


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_keeps_the_contract(name):
    module = importlib.import_module(f"scaledis.datasets.{name}")
    parameters = inspect.signature(module.load).parameters
    assert list(parameters) == ["directory", "options"] and module.load.__doc__ and module.__doc__
    assert set(getattr(module, "OPTIONS", ())) <= set(Options.__dataclass_fields__)


def test_the_directory_has_a_default(monkeypatch):
    found = []
    module = types.SimpleNamespace(load=lambda directory, options: found.append(directory) or 1 / 0)
    monkeypatch.setattr(datasets.registry, "module", lambda *_: module)
    with pytest.raises(ZeroDivisionError):
        datasets.load("mine")
    assert found == [Path(CACHE).expanduser()]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rendred", {}, "data.name: 'rendred' is unknown. Did you mean 'rendered'?"),
        ("rendered", {"path": "x"}, "data.path: 'x' is not understood by rendered"),
        ("cars3d", {"scale": True}, "data.scale: 'True' is not understood by cars3d"),
        ("arrays", {"path": "x", "folder_factor": True}, "data.folder_factor: 'True' is not understood by arrays"),
        ("folder", {"path": "x", "accept_checksum": True}, "data.accept_checksum: 'True' is not understood by folder"),
        ("folder", {"path": "x", "skip": True}, "data: 'skip' is unknown. Choices: .*, skip_unreadable."),
        ("folder", {"path": "x", "resolution": 50}, "data.resolution: 50 must be 0 or a multiple of 16"),
        *(
            ("rendered", {key: value}, f"data.{key}: .* must be {expected}")
            for key, expected in {
                **dict.fromkeys(("resolution", "bits"), "a whole number from 0 to"),
                **dict.fromkeys(
                    ("download", "accept_checksum", "scale", "folder_factor", "skip_unreadable"), "True or False"
                ),
            }.items()
            for value in ("16", 16.0, None, [16], -16)
        ),
        ("rendered", {"resolution": 1_000_000}, "data.resolution: 1000000 must be a whole number from 0 to 18912"),
        *(("folder", {"path": path}, "data.path: .* cannot be used") for path in (3, 0, True, b"x", ["x"])),
        (None, {}, "data.name: None is unknown"),
        (["rendered"], {}, "list: example 0: text .str, <U8.; an array of numbers is needed"),
        ("arrays", {"path": "x", "bits": 7}, "data.bits: 7 must be 0, or from 8 to 16 without data.scale"),
        ("arrays", {"path": "x", "bits": 12, "scale": True}, "data.bits: 12 must be 0, or from 8 to 16 without data.s"),
        ("rendered", {"bits": 12}, "data.bits: '12' is not understood by rendered"),
        (
            "arrays",
            {"path": "~nosuchuser/my.npz"},
            "data.path: '~nosuchuser/my.npz' cannot be used",
        ),
        ("arrays", {"path": "a\0b"}, "data.path: 'a.x00b' cannot be used: .*null"),
        ("folder", {"path": "a" * 5000}, "data.path: 'aaa.*aaa' cannot be used: File name too long"),
        ("folder", {"path": f"{__file__}/x"}, "data.path: .* cannot be used: Not a directory"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, name, options, message):
    with pytest.raises(UserError, match=message):
        datasets.load(name, tmp_path, **options)


@pytest.mark.parametrize("directory", [None, 3, b"x", "~nosuchuser/data", "a\0b", "a" * 5000, f"{__file__}/x"])
def test_a_directory_that_cannot_be(directory):
    with pytest.raises(UserError, match="data.directory: .* cannot be used"):
        datasets.load("rendered", directory)


@pytest.mark.parametrize("images", [np.ones((2500, 16, 16, 1), np.uint8), np.zeros((3, 16, 16, 1), np.uint8)])
def test_images_of_0_and_1_are_refused_from_every_data_set(tmp_path, mine, images):
    assert datasets.load("mine", tmp_path).size == 3
    mine.images = images
    with pytest.raises(UserError, match=re.escape("mine: the largest pixel is 1, so the images would be nearly black")):
        datasets.load("mine", tmp_path)
    mine.images[-1, 0, 0, 0] = 2
    assert datasets.load("mine", tmp_path).size == len(images)
