"""A data set and a config so small that a test trains in seconds, and the command line on them."""

import contextlib
import dataclasses
import functools
import hashlib
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from jax.sharding import Mesh

from scaledis import datasets, main, methods, networks
from scaledis.config import Config
from scaledis.core import runtime
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.sweeps.configs import default, freeze
from scaledis.training.population import Population
from scaledis.types import Batch, ImageSpec, Run
from scaledis.workdir import claims
from scaledis.workdir.layout import Workdir
from tests import shallow

SIZE = 16
networks.REGISTRY.registered["shallow"] = shallow.SPEC


@functools.cache
def dataset() -> Dataset:
    """A bright bar on a grey ground: 4 grounds, 8 places, 3 colours; 16x16."""
    ground, place, colour = np.meshgrid(np.arange(4), np.arange(8), np.arange(3), indexing="ij")
    ground, place, colour = ground.ravel(), place.ravel(), colour.ravel()
    images = np.repeat(40 * ground + 20, SIZE * SIZE * 3).reshape(-1, SIZE, SIZE, 3).astype(np.uint8)
    for image, column, channel in zip(images, place, colour, strict=True):
        image[:, 2 * column : 2 * column + 2, channel] = 255
    values = (np.arange(4.0), np.arange(8.0), np.arange(3.0))
    return Dataset(
        "tiny", ("ground", "place", "colour"), values, (SIZE, SIZE, 3), jnp.asarray(images), lambda s, i: s[i]
    )


@functools.cache
def rendered() -> Dataset:
    """128 images of `rendered` at 16x16: 2 floors, 2 walls, 4 object hues, 4 shapes, 2 orientations, one scale."""
    with np.load(Path(__file__).with_name("rendered_16.npz"), allow_pickle=False) as file:
        images = file["images"]
    sizes = {"floor_hue": 2, "wall_hue": 2, "object_hue": 4, "shape": 4, "orientation": 2}
    values = tuple(np.arange(float(size)) for size in sizes.values())
    return Dataset("tiny_rendered", tuple(sizes), values, (SIZE, SIZE, 3), jnp.asarray(images), lambda s, i: s[i])


def batch(images: np.ndarray) -> Batch:
    """These images as a step gets them, as the first of their data set."""
    return Batch(images, np.arange(len(images), dtype=np.int32))


def changed(images: Dataset) -> Dataset:
    """The same data set with another pixel."""
    return dataclasses.replace(images, source=images.source.at[0, 0, 0, 0].add(1))


def tree(folder: Path) -> dict[str, str]:
    """{path of a file below the folder: hash of its content}."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def config_dict(**overrides) -> ml_collections.ConfigDict:
    """The tiny config as a config file returns it; `overrides` by key with `__` for the dot: train__steps=3.

    Its network is that of tests/shallow.py; model__network="" is the method's own, which takes three times as long.
    """
    config = default()
    name = overrides.get("method__name", "scale_vlae")
    spec = methods.specs().get(name)
    flat = spec and spec.flat
    any_network = name in methods.REGISTRY.installed and methods.choose(name).network
    settings = {
        **({"model.latents": 3} if flat else {"model.allocation": (2, 1)}),
        "model.network": "shallow" if any_network else "",
        "model.channels": (4, 4, 4, 4),
        "model.parameters": 6000,
        "objective.bank": 24,
        "discriminator.features": 16,
        "discriminator.layers": 2,
        "train.steps": 6,
        "train.batch": 8,
        "train.log_every": 2,
        "train.checkpoint_every": 2,
        "evaluate.train_codes": 60,
        "evaluate.test_codes": 30,
        "evaluate.chance": 0,
        **{key.replace("__", "."): value for key, value in overrides.items()},
    }
    with config.ignore_type():  # a test may ask for what cannot be
        config.update_from_flattened_dict(settings)
    return config


def plain(**overrides) -> dict:
    """`config_dict` as a nested dict."""
    return config_dict(**overrides).to_dict()


def config(**overrides) -> Config:
    return freeze(plain(**overrides))


def population(configs, images: Dataset, mesh: Mesh | None = None, **options) -> Population:
    return Population(configs, ImageSpec(images.image_shape, images.size), mesh, **options)


def claimed(folder: Path, *runs: Run) -> Workdir:
    """A work directory whose plan has these runs."""
    workdir = Workdir(folder)
    claims.claim(workdir, {"config": {}, "sweep": [], "command": "test"}, runs)
    return workdir


@contextlib.contextmanager
def foreign_settings() -> Iterator[None]:
    """A process with all settings of JAX that would change the types or the random numbers of a run."""
    settings = {"enable_x64": True, "threefry_partitionable": False, "default_prng_impl": "rbg"}
    settings |= {"numpy_rank_promotion": "raise", "numpy_dtype_promotion": "strict"}
    before = {name: getattr(jax.config, f"jax_{name}") for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(f"jax_{name}", value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(f"jax_{name}", value)


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: str, load: Callable[..., Dataset] = lambda *_, **__: dataset()) -> Done:
    """The command line in this process, on the data set that `load` gives; a bug is an exception here."""
    out, err = io.StringIO(), io.StringIO()
    sampling.load_dataset.cache_clear()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(datasets, "load", load)
        patch.setattr(runtime, "prepare_jax", lambda: None)  # its settings last
        patch.setattr(sys, "argv", ["scaledis", *arguments])
        try:
            code = main.console()
        except SystemExit as end:
            code = end.code
    sampling.load_dataset.cache_clear()
    assert code is None or isinstance(code, int), code  # a sentence would be printed, and end in 1
    return Done(code or 0, out.getvalue(), err.getvalue())
