"""The vocabulary: what methods, estimators and likelihoods are, with their shapes.

Letters: B images of a batch, N of a data set, K latent units, L levels, P parts, G groups of units, R runs, F factors;
H, W, C height, width and channels of an image. Losses are in nats per image.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from scaledis.config import Config as Config

NEVER = -1  # RunState.diverged of a run that has not diverged
Hyperparameters = dict[str, Array]  # what a run carries as arrays: its weights, its learning rate, its active units
Pytree = Any  # nested tuples, lists and dictionaries of arrays
Terms = dict[str, Array]  # scalars by name, for the log, not `step` or `diverged`; nats per image end in `_nats`


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
    extra: what else the method carries: discriminators, banks of posteriors, capacities; () for most methods. Only
      `update` reads it, so that a model loads even if an older version carried something else.
    step: int32 [], steps done.
    hyperparameters: those of the run, as arrays.
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
    output: the expected pixels -> an output whose mean they are.
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

    name: that of its folder.
    config: its own.
    padded: the allocation with which it trains, at least its own; None: the one that its population needs.
    """

    name: str
    config: Config
    padded: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        return f"Run({self.name}: {in_words(self.config)})"


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


def in_words(config: Config) -> str:
    """Returns the method of a run, its units, its data set and its seed, in words."""
    allocation = "-".join(map(str, config.model.allocation))
    return f"{config.method.name}, {allocation} units, {config.data.name}, seed {config.seed}"
