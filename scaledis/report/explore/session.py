"""The explorer's actions on a model, independent of the server: images to codes, and codes to images."""

import functools
import io
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from scaledis.config import Data
from scaledis.core import UserError, registry
from scaledis.core.fields import is_float32
from scaledis.datasets import Dataset
from scaledis.datasets._builders import pictures
from scaledis.datasets.base import sampling
from scaledis.metrics.of_models.shared.coding import DEAD
from scaledis.model import Model, traversed
from scaledis.report.explore import sources
from scaledis.report.pictures.traversals import pixels
from scaledis.report.summary import best_factor, mixed, units

LARGEST = 20 << 20  # bytes of a file that is dropped in
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # what browsers show; a small TIFF can take a minute to decode
PATIENCE = 2.0  # seconds that a page waits for images before it starts without them
FRAMES, MILLISECONDS, SIDE = 13, 80, 256  # of an animation: from -3 to 3, a frame, pixels


class Session:
    """The models of a source, loaded when they are first asked for. Safe to call from threads.

    Raises UserError for a directory that has none, and for one whose runs lie outside of it.
    """

    def __init__(self, path: str | Path | None = None):
        """Opens a work directory or the folder of a saved model; by default the model that comes with the package."""
        self.source = sources.find(path)
        self.names = dict.fromkeys(self.source.names)
        self.rng = np.random.default_rng()
        self.lock, self.decoding, self.loading = threading.RLock(), threading.Lock(), ThreadPoolExecutor(1)
        self.models: dict[str, Model] = {}
        self.datasets: dict[str, Future[Dataset]] = {}
        self.load = functools.cache(sampling.load_dataset)
        self.model(self.source.names[0])

    def model(self, run: str) -> Model:
        """A run by name. Raises UserError for an unknown name."""
        registry.check("run", run, self.names)
        with self.lock:
            if run not in self.models:
                self.models[run] = self.source.model(run)
            return self.models[run]

    def dataset(self, run: str, seconds: float | None = None) -> Dataset | None:
        """What a run was trained on; None where its images are not at hand, have changed, or take more seconds."""
        try:
            return self._loading(run).result(seconds)
        except (UserError, OSError):  # TimeoutError is an OSError
            return None

    def _loading(self, run: str) -> "Future[Dataset]":
        model = self.model(run)
        with self.lock:
            if run not in self.datasets:
                self.datasets[run] = self.loading.submit(self._load, run, model)
            return self.datasets[run]

    def _load(self, run: str, model: Model) -> Dataset:
        """What a run was trained on. Raises UserError if it cannot be loaded or has changed since."""
        data, held = model.config.data, model.about.get("data", {})
        sampling.check_named(held, run)
        dataset = self.load(data)
        sampling.check_same(held, sampling.facts(dataset, data), run)
        return dataset

    def about(self, run: str) -> dict[str, Any]:
        """What the page shows of a run: its units, and the factors that a starting image can be chosen by.

        `waits` says that the images are being prepared, so that the page asks once more.
        """
        model, dataset = self.model(run), self.dataset(run, PATIENCE)
        allocation, name = model.config.model.allocation, model.config.data.name
        places: list[dict[str, Any]] = [{"level": level, "place": place} for level, place in units(allocation)]
        found: dict[str, Any] = {"units": places, "levels": len(allocation), "has_images": dataset is not None}
        if dataset is None:
            loading = self._loading(run)
            error = loading.exception() if loading.done() else None
            waits = error is None  # it is there by now, or will be: the page asks again
            words = "being prepared; until it is there" if waits else "not at hand, so that"
            about = f"{name} is {words} images come from the prior or from a file{'' if waits else f'. {error}'}"
            return {**found, "factors": [], "source": about, "waits": waits}
        known = self.source.summary(run, model, dataset)
        for unit, place in enumerate(places):
            dead = known.kl is not None and bool(known.kl[unit] < DEAD)
            place |= {"best": best_factor(known, unit), "dead": dead}
        factors = zip(dataset.factor_names, dataset.factor_sizes, strict=True)
        sizes = [{"name": name, "size": size} for name, size in factors]
        return {**found, "factors": sizes, "source": mixed([known]), "waits": False}

    def random(self, run: str) -> tuple[list[float], bytes]:
        """The posterior mean of a random image of the data set, and the image as PNG."""
        dataset = self._images_of(run)
        return self.encode(run, dataset.images(self.rng.integers(0, dataset.size, 1))[0])

    def by_factors(self, run: str, values: Mapping[str, int]) -> tuple[list[float], bytes]:
        """That of an image with these factors, the others at random.

        Raises UserError for an unknown factor or value, and where no image has them.
        """
        dataset = self._images_of(run)
        if not isinstance(values, Mapping):
            raise UserError(f"values: {registry.short(values)} must be a dictionary of factors.")
        for name, value in values.items():
            registry.check("factor", name, dataset.factor_names)
            size = dataset.factor_sizes[dataset.factor_names.index(name)]
            if not _is_index(value, size):
                raise UserError(f"factor {name}: {registry.short(value)} must be a whole number from 0 to {size - 1}.")
        return self.encode(run, dataset.images(dataset.matching(self.rng, 1, **values))[0])

    def from_prior(self, run: str) -> tuple[list[float], bytes]:
        """Codes that are drawn from the prior, and their image."""
        drawn = self.rng.standard_normal(sum(self.model(run).config.model.allocation)).tolist()
        return drawn, self.decode(run, drawn)

    def from_file(self, run: str, content: bytes) -> tuple[list[float], bytes]:
        """The posterior mean of the picture in a file, which is read as `datasets.folder` reads it for the run.

        Raises UserError for a file that is too large, no picture, or one that `datasets.folder` refuses.
        """
        height, width, channels = self.model(run).about["image_shape"]
        if len(content) > LARGEST:
            raise UserError(f"The file has {len(content) / 1e6:.0f} MB; at most {LARGEST >> 20} MB are taken.")
        with self.decoding:  # one at a time, which bounds the memory
            image = _pixels(content, (width, height), self.model(run).config.data)
        return self.encode(run, np.asarray(Image.fromarray(image).convert("L"))[..., None] if channels == 1 else image)

    def encode(self, run: str, image: np.ndarray) -> tuple[list[float], bytes]:
        """The posterior mean of an image uint8 [H, W, C], and the image as PNG."""
        with self.lock:
            mean = self.model(run).encode(image[None]).mean[0]
        return [round(float(value), 4) for value in mean], png(image)

    def decode(self, run: str, values: Sequence[float]) -> bytes:
        """The image of codes [K] as PNG. Raises UserError unless they are K finite numbers."""
        model = self.model(run)
        return png(self._decode(model, _checked(model, values)))

    def animation(self, run: str, values: Sequence[float], unit: int) -> bytes:
        """One unit moved from -3 to 3 and back, the others as they are, as an animated GIF."""
        model = self.model(run)
        given = _checked(model, values)
        if not _is_index(unit, len(given)):
            raise UserError(f"unit: {registry.short(unit)} must be a whole number from 0 to {len(given) - 1}.")
        forth = [pixels(self._decode(model, each)) for each in traversed(given, steps=FRAMES)[unit]]
        palette = Image.fromarray(np.concatenate(forth)).quantize()  # one for all frames, or they would flicker
        large = [Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for frame in forth]
        frames = [frame.quantize(palette=palette) for frame in [*large, *large[-2:0:-1]]]
        buffer = io.BytesIO()
        frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=MILLISECONDS, loop=0)
        return buffer.getvalue()

    def _decode(self, model: Model, values: np.ndarray) -> np.ndarray:
        """One image [H, W, C]; always of one shape, so that decoding is compiled once."""
        with self.lock:
            return model.decode(values[None])[0]

    def _images_of(self, run: str) -> Dataset:
        dataset = self.dataset(run)
        if dataset is None:
            raise UserError(f"data: the images of {self.model(run).config.data.name} are not at hand.")
        return dataset


def _pixels(content: bytes, size: tuple[int, int], data: Data) -> np.ndarray:
    """The picture in a file as uint8 [height, width, 3], by `pictures.fitted`. Raises UserError."""

    def opened() -> ImageFile.ImageFile:
        return Image.open(io.BytesIO(content), formats=FORMATS)

    try:
        with opened() as image:
            return pictures.fitted(image, opened, size, data.scale, data.bits).pixels
    except UserError as error:
        raise UserError(f"The picture: {error}.") from error
    except pictures.UNREADABLE as error:
        raise UserError(f"The file is no picture that can be read; {', '.join(FORMATS)} are.") from error


def _is_index(value: object, size: int) -> bool:
    """Whether it is a whole number from 0 to size - 1; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < size


def _checked(model: Model, values: Sequence[float]) -> np.ndarray:
    """Codes [K] as float32. Raises UserError unless they are K finite numbers."""
    count = sum(model.config.model.allocation)
    numbers = isinstance(values, Sequence) and all(is_float32(value) for value in values)
    found = np.asarray(values if numbers else [], np.float32)
    if found.shape != (count,):
        raise UserError(f"codes: {registry.short(values)} must be {count} finite numbers.")
    return found


def png(image: np.ndarray) -> bytes:
    """An image [H, W, C], uint8 or float in 0 to 1, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels(image))).save(buffer, "PNG")
    return buffer.getvalue()
