"""The pictures of the report as figures of matplotlib, from models and images; no work directory is needed.

    from scaledis import figures

    figures.traversals(model, images).savefig("traversals.png")

Models are one Model, several, or {name: Model}. Images are uint8 [N, H, W, C], or a data set, from which 5,000 are
drawn. A figure opens no window and is unknown to pyplot.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, ParamSpec

import numpy as np
from matplotlib.figure import Figure

from scaledis.core import UserError, convert, kinds, registry
from scaledis.datasets import Dataset
from scaledis.model import Model
from scaledis.objectives import gaussian
from scaledis.report import gather
from scaledis.report.pictures import canvas, fonts
from scaledis.report.pictures import figures as pictures
from scaledis.report.pictures import samples as sampled
from scaledis.report.pictures import traversals as images_of
from scaledis.report.summary import Summary

P = ParamSpec("P")
Models = Model | Sequence[Model] | Mapping[str, Model]
Images = Dataset | np.ndarray
DRAWN, ACROSS = 5000, 10  # images of a data set; samples in a row


class Seen(NamedTuple):
    """The images that models are shown.

    images: uint8 [N, H, W, C].
    factors: int [N, F]; F is 0 where they are unknown.
    names: of the factors.
    title: of the data set.
    """

    images: np.ndarray
    factors: np.ndarray
    names: tuple[str, ...]
    title: str


def _figure(make: Callable[P, Figure]) -> Callable[P, Figure]:
    """Returns `make` in matplotlib's default style, whatever that of the user is, with letters of any script."""

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with canvas.styled():
            figure = make(*args, **kwargs)
            fonts.settle(figure)
        return figure

    return made


@_figure
def traversals(models: Models, images: Images, seed: int = 0) -> Figure:
    """Draws every unit of each model moved from -3 to 3, from the code of the first image: one row per unit, top first.

    The text beside a row has the unit's KL over the images, and the factor of the data set that it knows best. A unit
    of less than 0.1 nats is dimmed. `seed` draws the images of a data set.

    Raises UserError for no models, and for images that a model does not encode.
    """
    seen = _seen(images, seed)
    return images_of.sheet([_summary(name, model, seen) for name, model in _named(models).items()])


@_figure
def reconstructions(models: Models, images: Images, seed: int = 0) -> Figure:
    """Draws the first ten images, and below them their reconstructions by each model, from posterior means.

    Raises what `traversals` raises.
    """
    seen = _seen(images, seed)
    return images_of.reconstructions([_summary(name, model, seen) for name, model in _named(models).items()])


@_figure
def information(models: Models, data: Dataset, seed: int = 0) -> Figure:
    """Draws a table for each model: the mutual information of every unit with every factor, in percent of its entropy.

    If the data set has no factors, the figure says so. Raises what `traversals` raises.
    """
    kinds.check("data", data, Dataset)
    seen = _seen(data, seed)
    return pictures.mutual_information([_summary(name, model, seen) for name, model in _named(models).items()])


@_figure
def samples(models: Models, seed: int = 0) -> Figure:
    """Draws ten images of each model from its prior: from all units, and from those of one level with the others at 0.

    Raises UserError for no models.
    """
    runs, images = [], []
    for name, model in _named(models).items():
        allocation = model.config.model.allocation
        level = np.repeat(np.arange(len(allocation)), allocation)
        rows = [np.ones(len(level)), *(level == each for each in range(len(allocation)) if len(allocation) > 1)]
        codes = np.random.default_rng(seed).standard_normal((ACROSS, len(level))) * np.array(rows)[:, None]
        decoded = model.decode(codes.reshape(-1, len(level)))
        images.append(decoded.reshape(*codes.shape[:2], *decoded.shape[1:]))
        runs.append(_bare(name, model, model.about.get("data", {}).get("name", "")))
    return sampled.figure(runs, images)


def _named(models: Models) -> dict[str, Model]:
    """Returns models by name; those without a name are called by their methods and seeds."""
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        named = {}
        for model in [models] if isinstance(models, Model) else list(models):
            kinds.check("models", model, Model)
            name = f"{model.config.method.name}, seed {model.config.seed}"
            named[f"{name} ({len(named) + 1})" if name in named else name] = model
    kinds.check("models", named, Mapping[str, Model])
    if not named:
        raise UserError("models: there are none.")
    return named


def _seen(images: Images, seed: int) -> Seen:
    if isinstance(images, Dataset):
        drawn, factors = images.sample(min(DRAWN, images.size), seed)
        return Seen(drawn, factors, images.factor_names, images.name)
    array = convert.numbers("images", images)
    if array.ndim != 4 or not len(array):
        raise UserError(
            f"images: {registry.short(array.shape)} must be a data set or [N, H, W, C] with N of at least 1."
        )
    return Seen(array, np.zeros((len(array), 0), int), (), "")


def _bare(name: str, model: Model, dataset: str) -> Summary:
    own = model.config
    return Summary(name, name, dataset, seed=own.seed, step=model.step, allocation=own.model.allocation)


def _summary(name: str, model: Model, seen: Seen) -> Summary:
    """Returns the summary of a model: its pictures, its units' KL over the images, and what they know of factors."""
    codes = model.encode(seen.images)
    known = _bare(name, model, seen.title or model.about.get("data", {}).get("name", ""))._replace(
        images=len(seen.images),
        factor_names=seen.names,
        kl=np.asarray(gaussian.kl_to_standard(codes.mean, codes.log_variance)).mean(0),
        shares=gather.shares(codes.mean, seen.factors) if seen.names else None,
        scored_step=model.step,
    )
    return gather.with_pictures(known, model, seen.images[: gather.RECONSTRUCTED])
