"""Runs as one compiled program: `jit(vmap(update))` over R runs, the axis of runs sharded over all devices.

A run alone is a population of one. Everything random in a run flows from its key and its step, so data order, resume
and seeds do not depend on which runs train beside it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding

from scaledis import feed, methods, platform, sampling
from scaledis.config import Config
from scaledis.datasets import Dataset
from scaledis.methods import Method

NEVER = -1


class Run(NamedTuple):
    """One run's state; in a population every leaf has a leading axis [R].

    method: the method's own state.
    key: uint32 [2], the data of the run's key.
    step: int32 [], steps done.
    diverged: int32 [], the step whose terms were not finite, after which the run is frozen; -1 for never.
    """

    method: Any
    key: Array
    step: Array
    diverged: Array


class Program(NamedTuple):
    """The compiled functions of a population.

    shapes: runs [R] as shapes with their shardings, to restore a checkpoint into.
    init: () -> runs [R].
    advance: (runs, steps) -> (runs, terms [R]); any number of steps with one compilation; donates `runs`. Terms are
      means over the steps, NaN where a run is frozen.
    """

    shapes: Run
    init: Callable[[], Run]
    advance: Callable[[Run, int], tuple[Run, dict[str, Array]]]


def shared(config: Config) -> Config:
    """What the runs of one population have in common: the config without what each run carries as an array."""
    recipe = methods.recipes()[config.method.name]
    twins = sorted(name for name, other in methods.recipes().items() if other.build is recipe.build)
    given = config.method.hyperparameters
    static = {key: given[key] for key, hyperparameter in recipe.hyperparameters.items() if hyperparameter.static}
    return dataclasses.replace(
        config,
        seed=0,
        method=dataclasses.replace(config.method, name=twins[0], hyperparameters=static),
        model=dataclasses.replace(config.model, allocation=(1,) * len(config.model.allocation), latents=0),
        objective=dataclasses.replace(config.objective, sigma=1.0, kl_warmup=0.0),
        train=dataclasses.replace(config.train, learning_rate=1.0),
    )


def padded(configs: Sequence[Config]) -> tuple[int, ...]:
    """The smallest allocation that holds those of all runs."""
    return tuple(int(units) for units in np.max([config.model.allocation for config in configs], axis=0))


def active(config: Config, allocation: Sequence[int]) -> np.ndarray:
    """Which units of the padded `allocation` this run has: bool [K]."""
    own = config.model.allocation
    return np.concatenate([np.arange(size) < units for size, units in zip(allocation, own, strict=True)])


def hyperparameters(config: Config, allocation: Sequence[int]) -> dict[str, np.ndarray]:
    """What a run carries as arrays, the method's own included."""
    return methods.recipes()[config.method.name].checked_arrays(config) | {
        "active": active(config, allocation).astype(np.float32),
        "sigma": np.float32(config.objective.sigma),
        "kl_warmup": np.float32(config.objective.kl_warmup),
        "learning_rate": np.float32(config.train.learning_rate),
    }


def build(configs: Sequence[Config], dataset: Dataset) -> Method:
    """The method that all runs share, at the padded allocation."""
    first = configs[0]
    model = dataclasses.replace(first.model, allocation=padded(configs))
    return methods.recipes()[first.method.name].build(dataclasses.replace(first, model=model), dataset)


def parallel(wanted: int) -> int:
    """How many runs to train at once. 0: one per core on a CPU, where more only share the cores; else 64."""
    return wanted or (jax.device_count() if jax.default_backend() == "cpu" else 64 * jax.device_count())


def mesh(runs: int) -> Mesh:
    """As many devices as divide the number of runs evenly."""
    devices = jax.devices()
    count = max(n for n in range(1, len(devices) + 1) if runs % n == 0)
    return Mesh(np.asarray(devices[:count]), ("runs",))


def program(configs: Sequence[Config], dataset: Dataset, method: Method) -> Program:
    """The population of `configs`, which must agree in `shared`."""
    data, batch = configs[0].data, configs[0].train.batch
    devices = mesh(len(configs))
    allocation = padded(configs)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(hyperparameters(c, allocation) for c in configs))
    seeds = np.asarray([config.seed for config in configs], np.uint32)

    def init(seed, hyperparameters):
        init_key, run_key = jax.random.split(jax.random.key(seed))
        counters = jnp.zeros((), jnp.int32), jnp.full((), NEVER, jnp.int32)
        return Run(method.init(init_key, hyperparameters), jax.random.key_data(run_key), *counters)

    def draw(run, arrays):
        key = jax.random.fold_in(jax.random.wrap_key_data(run.key), run.step)
        image_key, update_key = jax.random.split(key)
        return sampling.draw(arrays, image_key, batch), update_key

    def update(run, images, key):
        """One step of one run; a run whose terms are not finite keeps the state that it had."""
        state, terms = method.update(run.method, images, key)
        finite = jnp.all(jnp.stack([jnp.isfinite(term).all() for term in terms.values()]))
        diverged = jnp.where((run.diverged == NEVER) & ~finite, run.step, run.diverged)
        healthy = diverged == NEVER
        state = jax.tree.map(lambda new, old: jnp.where(healthy, new, old), state, run.method)
        terms = jax.tree.map(lambda term: jnp.where(healthy, term, jnp.nan), terms)
        return Run(state, run.key, run.step + 1, diverged), terms

    by_run = NamedSharding(devices, feed.RUNS)
    compiled_init = jax.jit(jax.vmap(init), out_shardings=by_run, compiler_options=platform.compiler_options(0))
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=by_run),
        jax.eval_shape(jax.vmap(init), seeds, stacked),
    )
    advance = feed.advancing(dataset, data.memory, sampling.sampling(dataset, data), draw, update, devices)
    return Program(shapes, lambda: compiled_init(seeds, stacked), advance)


def member(runs: Run, index: int) -> Run:
    """Run `index` of a population."""
    return jax.tree.map(lambda leaf: leaf[index], runs)
