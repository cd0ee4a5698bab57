"""A method as a transformer of scikit-learn, for a Pipeline, a GridSearchCV and others."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from scaledis.core import kinds, registry, values
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset, rows
from scaledis.datasets._builders.pixels import STEP
from scaledis.model import Model
from scaledis.search.train import train
from scaledis.sweeps.configs import make_config

SEEDS = 2**31  # of runs that a random state draws from


class Pixels(NamedTuple):
    """How rows of X become images, and images rows of X.

    shape: (H, W, C) of an image; rows [N, D] with D below H W C end in zeros.
    low, high: the values of X that are black and white.
    """

    shape: tuple[int, int, int]
    low: float
    high: float

    @property
    def _borders(self) -> tuple[tuple[int, int], ...]:
        """Pixels before and after each axis of an image, which make it a square that the networks can halve."""
        height, width, _ = self.shape
        side = -(-max(height, width) // STEP) * STEP
        return *(((side - length) // 2, side - length - (side - length) // 2) for length in (height, width)), (0, 0)

    def images(self, X: np.ndarray) -> np.ndarray:
        """Returns rows [N, D] as uint8 [N, R, R, C], padded by copies of their outermost pixels."""
        scaled = (X.astype(np.float64) - self.low) / ((self.high - self.low) or 1.0)
        whole = np.zeros((len(X), math.prod(self.shape)), np.uint8)
        whole[:, : X.shape[1]] = np.rint(255 * np.clip(scaled, 0.0, 1.0))
        return np.pad(whole.reshape(-1, *self.shape), ((0, 0), *self._borders), mode="edge")

    def rows(self, images: np.ndarray, count: int) -> np.ndarray:
        """Returns images float [N, R, R, C] in [0, 1] as rows [N, `count`] on the scale of X."""
        (top, _), (left, _), _ = self._borders
        height, width, _ = self.shape
        own = images[:, top : top + height, left : left + width].reshape(len(images), -1)[:, :count]
        return self.low + (self.high - self.low) * own


class ScaleVLAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """A method of this package, any of `scaledis list`, as a transformer of scikit-learn: images -> posterior means.

    X has images [N, H, W, C] or [N, H, W], or their rows [N, H * W * C] with `image_shape`. Rows [N, D] without it are
    put into the smallest square image of one channel that holds them; its other pixels are black. Images that the
    networks cannot halve four times are padded with copies of their outermost pixels, which `inverse_transform` cuts
    off again: 28x28 become 32x32.

    The networks see 256 levels from black to white. For uint8 these are 0 to 255. For other numbers, black is 0 and
    white is 1 if all lie in [0, 1]; if not, black is the smallest and white the largest number in the X of `fit`. `fit`
    fixes this scale: `transform` and `score` clip numbers outside of it, and `inverse_transform` returns numbers on it.

    Args:
      method: the method that is trained.
      image_shape: (H, W, C) of the rows of X.
      allocation: latent units per level, top to bottom, such as (4, 2, 2, 2), or (10,) for a flat method; None for the
        method's own.
      steps: steps of training.
      batch: images of a step.
      overrides: other keys of the config by dotted name, such as {"method.beta": 4.0} (`scaledis describe config`).
      random_state: the seed of the run, or a RandomState from which it is drawn; None draws it at random.
      verbose: whether progress is printed to stderr.

    Attributes:
      model_: the trained `Model`; it can be saved, drawn and explored like any other.
      pixels_: the scale and the shape of images.
      n_features_in_: D; feature_names_in_: the columns of X, where it has names.

    Every error about an argument is a ValueError, as in scikit-learn.

    >>> images = np.random.default_rng(0).random((20, 16, 16, 1))
    >>> vae = ScaleVLAE("vae", allocation=(3,), steps=2, batch=4, random_state=0).fit(images)
    >>> vae.transform(images).shape, vae.inverse_transform(np.zeros((5, 3))).shape
    ((20, 3), (5, 16, 16, 1))
    """

    def __init__(
        self,
        method: str = "scale_vlae",
        *,
        image_shape: Sequence[int] | None = None,
        allocation: Sequence[int] | None = None,
        steps: int = 4000,
        batch: int = 64,
        overrides: Mapping[str, object] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ):
        self.method = method
        self.image_shape = image_shape
        self.allocation = allocation
        self.steps = steps
        self.batch = batch
        self.overrides = overrides
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> "ScaleVLAE":
        """Trains a run on the images X, as `scaledis.train` does, in a temporary directory; y is not used.

        Raises UserError for a config that cannot run, and for rows that do not fit `image_shape`.
        """
        image_shape, allocation, overrides = map(self._checked, ("image_shape", "allocation", "overrides"))
        rows_of, shape = self._rows(X, reset=True)
        self._shape_in = shape
        self.pixels_ = _pixels(rows_of, _image_shape(image_shape or shape, rows_of.shape[1]))
        images = self.pixels_.images(rows_of)
        given = {"train.steps": self.steps, "train.batch": self.batch, "seed": _seed(self.random_state)}
        units = {} if allocation is None else {"model.allocation": tuple(allocation)}
        config = make_config(self.method, {"data.name": "arrays", **given, **units, **(overrides or {})})
        self.model_: Model
        [self.model_] = train(config, _dataset(images), callback=None if self.verbose else _silent)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Returns the posterior means of images, float32 [N, K], levels from top to bottom."""
        images = self._images(X)
        return np.asarray(self.model_.encode(images).mean)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Returns the expected images of codes [N, K], in the shape and on the scale of the X of `fit`, float32."""
        check_is_fitted(self)
        decoded = self.model_.decode(check_array(X, dtype=np.float32))
        return self.pixels_.rows(decoded, self.n_features_in_).reshape(-1, *self._shape_in).astype(np.float32)

    def score(self, X: Any, y: Any = None) -> float:
        """Returns the mean ELBO of the images in nats, higher for images that the model expects; y is not used."""
        images = self._images(X)
        return float(self.model_.elbo(images).mean())

    def _checked(self, name: str) -> Any:
        """Returns a parameter as plain Python values. Raises UserError for a kind that `__init__` does not take."""
        value = values.plain(getattr(self, name))
        kinds.check(name, value, kinds.hints(ScaleVLAE.__init__)[name])
        return value

    def _images(self, X: Any) -> np.ndarray:
        """Returns X as the images that the model encodes."""
        check_is_fitted(self)
        rows_of, shape = self._rows(X, reset=False)
        if shape != self._shape_in:
            raise UserError(f"X: images of shape {list(shape)}; fit has seen {list(self._shape_in)}.")
        return self.pixels_.images(rows_of)

    def _rows(self, X: Any, reset: bool) -> tuple[np.ndarray, tuple[int, ...]]:
        """Returns X as numbers [N, D] that scikit-learn has checked, and the shape of one row in X."""
        X = X if hasattr(X, "shape") else np.asarray(X)
        if len(X.shape) not in (3, 4):
            found = validate_data(self, X, reset=reset)
            return found, found.shape[1:]
        images = check_array(X, allow_nd=True)
        return validate_data(self, images.reshape(len(images), -1), reset=reset), images.shape[1:]

    @property
    def _n_features_out(self) -> int:
        return sum(self.model_.config.model.allocation)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # codes are float32
        return tags


def _image_shape(given: Sequence[int], count: int) -> tuple[int, int, int]:
    """Returns (H, W, C) of `count` numbers whose shape is `given`. Raises UserError if it is that of no image."""
    if len(given) == 1:
        side = math.isqrt(count - 1) + 1
        return side, side, 1
    shape = (*given, 1)[:3] if len(given) < 4 else ()
    if len(shape) != 3 or shape[2] not in (1, 3) or math.prod(shape) != count:
        words = f"{registry.short(given)} is no image of {count} numbers"
        raise UserError(f"image_shape: {words}; (height, width, channels) with 1 or 3 channels is.")
    return shape


def _pixels(rows_of: np.ndarray, shape: tuple[int, int, int]) -> Pixels:
    """Returns the scale of the numbers that `fit` has seen."""
    if rows_of.dtype == np.uint8:
        return Pixels(shape, 0.0, 255.0)
    low, high = float(rows_of.min()), float(rows_of.max())
    return Pixels(shape, 0.0, 1.0) if 0 <= low and high <= 1 else Pixels(shape, low, high)


def _dataset(images: np.ndarray) -> Dataset:
    """Returns images without factors as a data set."""
    return Dataset("X", (), (), images.shape[1:], images, rows, table=np.zeros((len(images), 0), np.int32))


def _seed(random_state: Any) -> int:
    whole = isinstance(random_state, int | np.integer)
    return int(random_state) if whole else int(check_random_state(random_state).randint(SEEDS))


def _silent(step: int, terms: Mapping[str, np.ndarray]) -> None:
    """Prints nothing at a line of the log."""
