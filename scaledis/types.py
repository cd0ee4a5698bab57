"""The vocabulary: what methods, estimators and likelihoods are, with their shapes.

Letters: B images of a batch, N of a data set, K latent units, L levels, P parts, G groups of units, R runs, F factors;
H, W, C height, width and channels of an image. Losses are in nats per image.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import numpy as np
from jax import Array

from scaledis.config import Config as Config
from scaledis.core import UserError, bundle, card, convert, files, hub, kinds, portable

NEVER = -1  # RunState.diverged of a run that has not
Hyperparameters = dict[str, Array]  # what a run carries as arrays: its weights, its learning rate, its active units
Pytree = Any  # nested tuples, lists and dictionaries of arrays
Terms = dict[str, Array]  # scalars by name, for the log; those in nats per image end in `_nats`


class ImageSpec(NamedTuple):
    """What a method must know of a data set to be built.

    shape: (H, W, C).
    size: N, the number of images that it trains on.
    """

    shape: tuple[int, int, int]
    size: int


class Codes(NamedTuple):
    """The posterior of every unit, concatenated from the top level to the bottom one; every metric reads them.

    mean, log_variance: [B, K]; of JAX inside a compiled function, of numpy outside of one.
    levels: int [K], the level of each unit, 0 at the top.
    """

    mean: Any
    log_variance: Any
    levels: np.ndarray

    def __repr__(self) -> str:
        return f"Codes({', '.join(f'{name} {list(np.shape(each))}' for name, each in self._asdict().items())})"


class Batch(NamedTuple):
    """The images of a step, drawn with replacement.

    images: uint8 [B, H, W, C].
    number: int32 [B], the place of each image in its data set; an image that was drawn twice has its number twice.
    """

    images: Array
    number: Array


class Posterior(NamedTuple):
    """What a penalty sees of a batch.

    codes, mean, log_variance: [B, K], samples and the posteriors that they were drawn from.
    levels: [L, K], 0/1, the active units of each level.
    number: int32 [B], the place of each image in its data set.
    """

    codes: Array
    mean: Array
    log_variance: Array
    levels: Array
    number: Array


class State(NamedTuple):
    """The state of one run of a method that follows a gradient.

    params: of the networks.
    optimizer: the optimizer's own state.
    extra: what the method carries beside them: discriminators, banks of posteriors, capacities; () for most. Only
      `update` reads it, so a model loads where an older version carried something else.
    step: int32 [], steps done.
    hyperparameters: the run's arrays.
    """

    params: Pytree
    optimizer: Pytree
    extra: Pytree
    step: Array
    hyperparameters: Hyperparameters


class Method(NamedTuple):
    """A method as pure functions on one run; a population is their `vmap`.

    init: (key, hyperparameters) -> state, one pytree.
    update: (state, Batch, key) -> (state, terms), one step. A run whose terms are not all finite is frozen.
    encode: (state, images uint8 [B, H, W, C]) -> Codes.
    decode: (state, codes [B, K]) -> expected images float [B, H, W, C] in [0, 1].
    """

    init: Callable[[Array, Hyperparameters], Pytree]
    update: Callable[[Pytree, Batch, Array], tuple[Pytree, Terms]]
    encode: Callable[[Pytree, Array], Codes]
    decode: Callable[[Pytree, Array], Array]


class Estimator(NamedTuple):
    """Log densities of the aggregate posterior in a training step, and what the estimator carries between steps.

    init: (key, parts [P, K]) -> extra, a pytree; it belongs to the run's state and so to its checkpoints.
    log_density: (extra, posterior, parts) -> [B, G], for the groups of partition.membership.
    update: (extra, posterior, parts, key) -> (extra, terms), after each step; the posterior has no gradient.
    """

    init: Callable[[Array, Array], Pytree]
    log_density: Callable[[Pytree, Posterior, Array], Array]
    update: Callable[[Pytree, Posterior, Array, Array], tuple[Pytree, Terms]]


class Likelihood(NamedTuple):
    """p(x | z) given the decoder's output.

    negative_log_likelihood: (output [C, H, W, B], pixels [C, H, W, B] in [0, 1], sigma) -> -log p(x | z), [B].
    mean: output -> the expected pixels, in [0, 1].
    output: the expected pixels -> an output of that mean.
    learns_sigma: whether sigma is a parameter that starts at `objective.sigma` (Rybkin et al. 2021).
    """

    negative_log_likelihood: Callable[[Array, Array, Array], Array]
    mean: Callable[[Array], Array]
    output: Callable[[Array], Array]
    learns_sigma: bool = False


class Penalty(NamedTuple):
    """R of L = L_rec + w R, and what it carries between steps.

    init: (key, hyperparameters, levels [L, K]) -> extra.
    value: (hyperparameters, extra, posterior, key) -> (R in nats per image, terms).
    update: (hyperparameters, extra, posterior, key) -> (extra, terms), after each step.
    """

    init: Callable[[Array, Hyperparameters, Array], Pytree]
    value: Callable[[Hyperparameters, Pytree, Posterior, Array], tuple[Array, Terms]]
    update: Callable[[Hyperparameters, Pytree, Posterior, Array], tuple[Pytree, Terms]]


class Run(NamedTuple):
    """A run of an experiment.

    name: its folder's.
    config: its own.
    padded: the allocation that it trains at, at least its own; None for that which its population needs.
    """

    name: str
    config: Config
    padded: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        return f"Run({self.name}: {_in_words(self.config)})"


class RunState(NamedTuple):
    """One run's state; in a population every leaf has a leading axis [R].

    state: the method's own.
    key: uint32 [2], the data of the run's key.
    step: int32 [], steps done; a frozen run counts no more.
    diverged: int32 [], the step whose terms were not finite, after which the run is frozen; -1 for never.
    """

    state: Pytree
    key: Array
    step: Array
    diverged: Array


def _foreign(*_: Any) -> NoReturn:
    raise UserError("model: it was not made by scaledis; it has no likelihood, and cannot be saved or pickled.")


def traversed(mean: np.ndarray, low: float = -3.0, high: float = 3.0, steps: int = 7) -> np.ndarray:
    """Returns codes [..., K, steps, K] that move each unit of [..., K] from `low` to `high`, the others fixed."""
    mean = np.asarray(mean, np.float32)
    units = np.arange(mean.shape[-1])
    moved = np.tile(mean[..., None, None, :], (len(units), steps, 1))
    moved[..., units, :, units] = np.linspace(low, high, steps)
    return moved


class Model(NamedTuple):
    """One trained run, without the padding of its population; it needs no data set. `save` writes it, and it pickles.

    config: of the run.
    step: steps done; of a diverged run, that of the state which is kept.
    state: the method's own.
    encode: images uint8 [B, H, W, C] -> Codes, mean and log_variance [B, K] and levels [K], as numpy arrays.
    decode: codes [B, K] -> expected images float [B, H, W, C] in [0, 1], as a numpy array.
    about: what `save` writes beside the arrays, as JSON: config, step, data set, scores, version and commit.
    arrays: () -> what encode and decode need of the state, {path of a leaf: numpy array}.
    make: (about, arrays) -> the same model.
    negative_log_likelihood: expected images and images, [B, H, W, C] in [0, 1] -> -log p(x | z) in nats, [B].
    functions: (state, images) -> Codes and (state, codes) -> expected images, on arrays of JAX: pure functions for the
      caller's jit, vmap and grad. Images may be float, 0 to 255, so that there is a gradient in them.
    programs: () -> encode and decode of arrays as `export` writes them.

    encode and decode take arrays of any framework and any B, also 0: they work in chunks of one shape, compiled once.
    They raise UserError for arrays of another kind or shape, and in a process that was forked after JAX has computed.
    """

    config: Config
    step: int
    state: Any
    encode: Callable[[Any], Codes]
    decode: Callable[[Any], np.ndarray]
    about: Mapping[str, Any] = MappingProxyType({})
    arrays: Callable[[], dict[str, np.ndarray]] = _foreign
    make: Callable[..., Any] = _foreign
    negative_log_likelihood: Callable[[Any, Any], np.ndarray] = _foreign
    functions: tuple[Callable[[Any, Any], Codes], Callable[[Any, Any], Any]] = (_foreign, _foreign)
    programs: Callable[[], dict[str, portable.Function]] = _foreign

    def save(self, path: str | Path) -> None:
        """Writes the folder `path` that `scaledis.load_model` reads: model.safetensors and model.json.

        The folder has neither the optimizer nor what else only training reads. Raises UserError where it cannot be
        written, and for a model of a method whose state has other types than float32 and whole numbers.
        """
        kinds.check("path", path, str | Path)
        bundle.write(files.directory("path", path), self.about, self.arrays())

    def export(self, path: str | Path, format: str = "jax") -> None:
        """Writes encode and decode as programs that need neither this package nor the code of the method.

        encode is images uint8 [B, H, W, C] -> (mean, log_variance), decode codes [B, K] -> images; B may be any number.
        The folder `path` has `encode.jax` and `decode.jax`, programs of `jax.export` for CPU, GPU and TPU that
        `scaledis.load_exported` or `jax.export.deserialize` reads, or `encode.onnx` and `decode.onnx`; beside them is
        `export.json`: `about`, the level of each unit, the names of the arrays, and checksums.

        Raises UserError for an unknown format, where a library or the place is missing, and for a network with an
        operation that ONNX lacks here.
        """
        kinds.check("path", path, str | Path)
        kinds.check("format", format, str)
        functions = self.programs()
        levels = self.encode(np.zeros((0, *functions["encode"].shape), np.uint8)).levels.tolist()
        portable.write(files.directory("path", path), functions, {**self.about, "levels": levels}, format)

    def push_to_hub(self, repo: str, private: bool = False) -> str:
        """Uploads what `save` writes, and a card, to a repository of the Hugging Face hub; returns its address.

        `scaledis.from_pretrained(repo)` loads it. The card has the data with its fingerprint, the scores beside chance,
        the config, and how to load the model. You log in by `hf auth login`.

        Args:
          repo: "owner/name"; it is made if it is missing.
          private: whether only its owner sees a repository that is made.

        Raises UserError where huggingface_hub is missing, and for what the hub refuses.
        """
        kinds.check("repo", repo, str)
        with tempfile.TemporaryDirectory() as folder:
            self.save(folder)
            (Path(folder) / "README.md").write_text(card.make_card(self.about, repo), "utf-8")
            return hub.push(Path(folder), repo, private, f"{self!r}")

    def reconstruct(self, images: Any) -> np.ndarray:
        """Images uint8 [B, H, W, C] -> the expected images of their posterior means, float [B, H, W, C] in [0, 1]."""
        return self.decode(self.encode(images).mean)

    def traverse(self, image: Any, low: float = -3.0, high: float = 3.0, steps: int = 7) -> np.ndarray:
        """An image uint8 [H, W, C] -> expected images float [K, steps, H, W, C] in [0, 1].

        Row k moves unit k from `low` to `high`, in standard deviations of the prior; the other units stay at the
        posterior mean of the image.
        """
        kinds.check("steps", steps, int)
        if steps < 1 or not np.isfinite([low, high]).all():
            raise UserError(
                f"steps, low, high: {steps}, {low}, {high}; at least one step between finite ends is needed."
            )
        codes = traversed(self.encode(convert.numbers("image", image)[None]).mean[0], low, high, steps)
        decoded = self.decode(codes.reshape(-1, codes.shape[-1]))
        return decoded.reshape(*codes.shape[:2], *decoded.shape[1:])

    def elbo(self, images: Any, samples: int = 1, seed: int = 0) -> np.ndarray:
        """Images uint8 [B, H, W, C] -> the ELBO of each in nats, [B].

            E_q(z|x) log p(x | z) - KL(q(z | x) || p(z))

        The expectation is the mean over `samples` codes of each posterior, drawn by `seed`; the likelihood is that of
        the config, with the sigma that the run has learned or that its config names.
        """
        for name, value, least in (("samples", samples, 1), ("seed", seed, 0)):
            kinds.check(name, value, int)
            if value < least:
                raise UserError(f"{name}: {value} must be at least {least}.")
        images = convert.numbers("images", images)
        mean, log_variance, _ = self.encode(images)
        pixels, rng = images / np.float32(255), np.random.default_rng(seed)
        nats = np.zeros(len(images))
        for _ in range(samples):
            noise = rng.standard_normal(mean.shape).astype(np.float32)
            decoded = self.decode(mean + np.exp(log_variance / 2) * noise)
            nats += self.negative_log_likelihood(decoded, pixels) / samples
        kl = 0.5 * (np.square(mean) + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
        return np.asarray(-nats - kl)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        arrays = self.arrays()  # first, since it raises
        return self.make, (dict(self.about), arrays)

    def __repr__(self) -> str:
        return f"Model({_in_words(self.config)}, step {self.step})"


def _in_words(config: Config) -> str:
    """The method of a run, its units, its data set and its seed."""
    allocation = "-".join(map(str, config.model.allocation))
    return f"{config.method.name}, {allocation} units, {config.data.name}, seed {config.seed}"
