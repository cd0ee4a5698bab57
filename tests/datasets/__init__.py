"""What the tests of the published sets share: small files of the published layout, and what must come of them."""

import dataclasses
import hashlib
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from scaledis import datasets
from scaledis.config import Data
from scaledis.datasets import Options
from scaledis.datasets._builders import prepare
from scaledis.datasets.base import sampling
from scaledis.training import population
from tests import tiny


def place(source: prepare.Source, directory: Path, files: list[bytes], **changes) -> prepare.Source:
    """Writes the files into their places; the source of just these files, with other sizes."""
    (directory / "manual").mkdir(parents=True, exist_ok=True)
    specifications = []
    for file, data in zip(source.files, files, strict=True):
        (directory / "manual" / file.name).write_bytes(data)
        digest = hashlib.new(file.algorithm, data).hexdigest()
        specifications.append(dataclasses.replace(file, size=file.size and len(data), digest=digest))
    return dataclasses.replace(source, files=tuple(specifications), **changes)


def shortened(source: prepare.Source, sizes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    return tuple(values[:size] for values, size in zip(source.factor_values, sizes, strict=True))


def grid(*sizes: int) -> np.ndarray:
    return np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=-1)


def reduced(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS))


def holds(data: datasets.Dataset, images: np.ndarray, factors: np.ndarray) -> None:
    """The set holds these images and factors, in a memory map."""
    index = np.random.default_rng(1).permutation(len(images))
    assert data.size == len(images) and isinstance(data.source, np.memmap) and data.source.dtype == np.uint8
    np.testing.assert_array_equal(data.images(index), images[index])
    np.testing.assert_array_equal(data.factors(index), factors[index])
    assert data.factors(index).dtype == np.int32


def agrees(data: datasets.Dataset, images: np.ndarray, factors: np.ndarray) -> None:
    """The set holds these images and factors, also when it samples in a compiled step, and a method trains on it."""
    holds(data, images, factors)
    arrays = sampling.make_sampler(data, Data())
    drawn = jax.jit(lambda source, key: data.gather(source, sampling.draw(arrays, key, 8)))(
        data.source, jax.random.key(0)
    )
    assert all((image == images).all(axis=(1, 2, 3)).any() for image in np.asarray(drawn))
    trains(data, drawn)


def trains(data: datasets.Dataset, images: np.ndarray) -> None:
    """One step on these images; sets of equal image shape share its compilation."""
    config = tiny.config(method__name="vae", model__parameters=0)
    method = tiny.population([config], data).program.method
    state = jax.jit(method.init)(jax.random.key(0), population.hyperparameters(config, config.model.allocation))
    after, terms = jax.jit(method.update)(state, tiny.batch(images), jax.random.key(1))
    assert all(np.isfinite(term) for term in terms.values()) and int(after.step) == 1


def raises(source, read, directory, message, **options) -> None:
    with pytest.raises(ValueError, match=message):
        prepare.load(source, read, directory, Options(), **options)
    assert [path.name for path in (directory / source.name).iterdir()] == [".lock"]
