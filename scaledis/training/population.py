"""Runs as one compiled program: `jit(vmap(update))` over R runs, the axis of runs sharded over all devices.

A run alone is a population of one. Everything random in a run flows from its key and its step, so data order, resume
and seeds do not depend on which runs train beside it.
"""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding

from scaledis.config import Config
from scaledis.core import runtime
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.sweeps import plan
from scaledis.training import steps
from scaledis.training.model import Compiled, Padding, build, compiled, describe, hyperparameters, make_model
from scaledis.types import NEVER, Batch, ImageSpec, Method, Model, RunState, Terms

COMPILED = ("method", "mesh", "by_run", "make_advance", "_compiled_init", "_compiled")  # what one shape shares


def widened(leaf: Array, shape: Sequence[int]) -> Array:
    """A leaf of a run's state with zeros at its ends, up to the shape that it has in a wider network.

    Hidden units of zero kernels on both sides stay there: their activation and each gradient of theirs is zero. The
    wider network is then the narrow one, to the rounding of its longer sums.
    """
    return jnp.pad(leaf, [(0, wide - own) for own, wide in zip(leaf.shape, shape, strict=True)])


def one_device() -> Mesh:
    """A device of this process alone."""
    return Mesh(np.asarray(jax.local_devices()[:1]).reshape(1, 1), ("copies", "runs"))


def make_mesh(runs: int) -> Mesh:
    """As many devices as divide the number of runs evenly, equally many of each process.

    Where the runs do not divide over the processes, each process advances all of them for itself.
    """
    processes = jax.process_count()
    devices = [[device for device in jax.devices() if device.process_index == each] for each in range(processes)]
    fewest = min(map(len, devices))
    apart = runs % processes == 0
    count = max(n for n in range(1, fewest + 1) if runs % (n * processes if apart else n) == 0)
    grid = np.asarray([own[:count] for own in devices])
    return Mesh(grid.reshape(1, -1) if apart else grid, ("copies", "runs"))


@jax.jit  # one small program instead of two for each shape of a leaf
def select(runs: RunState, slot: int) -> RunState:
    """Run `slot` of a population."""
    return jax.tree.map(lambda leaf: leaf[slot], runs)


def start(method: Method, seed: Array, hyperparameters: dict[str, Array]) -> RunState:
    """One run at its start."""
    init_key, run_key = jax.random.split(jax.random.key(seed, impl=runtime.KEYS))
    counters = jnp.zeros((), jnp.int32), jnp.full((), NEVER, jnp.int32)
    return RunState(method.init(init_key, hyperparameters), jax.random.key_data(run_key), *counters)


class Population:
    """R runs that share a program.

    Attributes:
      configs: of the runs; they agree in `shared`.
      images: what the method must know of the data set.
      config: the first of them, for every key that all have in common.
      allocation: that all runs are padded to.
      method: the one that they share, at that allocation and at the largest of their capacities.
      mesh: the devices that they are spread over; by default as many as divide them evenly.
    """

    def __init__(
        self,
        configs: Sequence[Config],
        images: ImageSpec,
        mesh: Mesh | None = None,
        like: "Population | None" = None,
        allocation: tuple[int, ...] | None = None,
    ):
        """All runs are padded to `allocation`, by default to the smallest that holds their own.

        What `like`, another population, has traced and compiled serves this one too if both have one shape. Raises
        UserError for an allocation that does not hold the runs' own.
        """
        self.configs, self.images, self._mesh = list(configs), images, mesh
        self.config = self.configs[0]
        own = plan.common_allocation(self.configs)
        self.allocation = allocation or own
        if len(self.allocation) != len(own) or np.any(np.less(self.allocation, own)):
            raise UserError(
                f"allocation: {list(self.allocation)} of the plan does not hold the runs' own, {list(own)}."
            )
        self._capacities = np.asarray([config.model.parameters for config in self.configs])
        self._capacity = int(self._capacities.max())
        self._shape = plan.program(self.config), self.allocation, self._capacities.tolist(), images, mesh
        if like is not None and like._shape == self._shape:
            self.__dict__ |= {name: getattr(like, name) for name in COMPILED}
            return
        if like is not None:
            like.let_go()
        self.method = self._build(self._capacity)

    def _build(self, capacity: int) -> Method:
        return build(self.config, self.images, Padding(self.allocation, capacity))

    @functools.cached_property
    def mesh(self) -> Mesh:
        return self._mesh or make_mesh(len(self.configs))

    @functools.cached_property
    def by_run(self) -> NamedSharding:
        return NamedSharding(self.mesh, steps.RUNS)

    @functools.cached_property
    def _arguments(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Seeds [R], and the hyperparameters of all runs with a leading axis [R]."""
        rows = [hyperparameters(config, self.allocation) for config in self.configs]
        seeds = np.asarray([config.seed for config in self.configs], np.uint32)
        return seeds, jax.tree.map(lambda *leaves: np.stack(leaves), *rows)

    def _init(self, seeds: Array, hyperparameters: dict[str, Array]) -> RunState:
        """All runs [R] at their start, each drawn at its own capacity, as it is when it is alone."""
        capacities = np.unique(self._capacities)
        if len(capacities) == 1:
            return jax.vmap(functools.partial(start, self.method))(seeds, hyperparameters)
        slots = [np.flatnonzero(self._capacities == capacity) for capacity in capacities]
        parts = []
        for capacity, members in zip(capacities.tolist(), slots, strict=True):
            own = jax.tree.map(operator.itemgetter(members), (seeds, hyperparameters))
            parts.append(jax.vmap(functools.partial(start, self._build(capacity)))(*own))
        order = np.argsort(np.concatenate(slots))

        def joined(*leaves: Array) -> Array:
            wide = leaves[-1].shape[1:]  # of the largest capacity
            return jnp.concatenate([widened(leaf, (len(leaf), *wide)) for leaf in leaves])[order]

        return jax.tree.map(joined, *parts)

    @functools.cached_property
    @runtime.pinned()
    def shapes(self) -> RunState:
        """The runs [R] as shapes with their shardings, to restore a checkpoint into; nothing is computed."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self.by_run),
            jax.eval_shape(self._init, *self._arguments),
        )

    @functools.cached_property
    def _compiled_init(self) -> Callable[..., RunState]:
        return jax.jit(self._init, out_shardings=self.by_run, compiler_options=runtime.compiler_options(0))

    @runtime.pinned()
    def init(self) -> RunState:
        """The runs [R] at their start."""
        return self._compiled_init(*self._arguments)

    @functools.cached_property
    def make_advance(self) -> "functools._lru_cache_wrapper[steps.Advance]":
        """The steps of these runs on a data set. Terms are means over the steps, NaN where a run is frozen."""
        return functools.lru_cache(maxsize=1)(self._make_advance)

    def let_go(self) -> None:
        """Forgets the steps, which hold the data set on the devices; the models of these runs go on without it."""
        self.make_advance.cache_clear()

    def _make_advance(self, dataset: Dataset) -> steps.Advance:
        data, size = self.config.data, self.config.train.batch

        def draw(run: RunState, arrays: Any) -> tuple[Array, Array]:
            key = jax.random.fold_in(jax.random.wrap_key_data(run.key, impl=runtime.KEYS), run.step)
            image_key, update_key = jax.random.split(key)
            return sampling.draw(arrays, image_key, size), update_key

        def update(run: RunState, batch: Batch, key: Array) -> tuple[RunState, Terms]:
            """One step of one run; a run whose terms are not finite keeps the state that it had."""
            state, terms = self.method.update(run.state, batch, key)
            finite = jnp.all(jnp.stack([jnp.isfinite(term).all() for term in terms.values()]))
            diverged = jnp.where((run.diverged == NEVER) & ~finite, run.step, run.diverged)
            healthy = diverged == NEVER
            state = jax.tree.map(lambda new, old: jnp.where(healthy, new, old), state, run.state)
            terms = jax.tree.map(lambda term: jnp.where(healthy, term, jnp.nan), terms)
            return RunState(state, run.key, run.step + healthy, diverged), terms

        sampler = sampling.make_sampler(dataset, data)
        return steps.make_advance(dataset, data.memory, sampler, draw, update, self.mesh)

    @runtime.pinned()
    def memory(self, dataset: Dataset) -> int:
        """Bytes that a step needs on each device, the data set's among them, by XLA's analysis of what it compiles.

        0 on a platform that has no such analysis.
        """
        found = self.make_advance(dataset).lower(self.shapes).compile().memory_analysis()
        if found is None:
            return 0
        held = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
        return held + found.temp_size_in_bytes + found.generated_code_size_in_bytes

    @functools.cached_property
    def _compiled(self) -> Compiled:
        return compiled(self.method)

    def model(self, runs: RunState, slot: int, data: Mapping[str, Any] | None = None) -> Model:
        """Run `slot` as a Model. All models of a population share two compiled functions.

        `data` are the facts of the data set that it was trained on (sampling.facts), where they are known.
        """
        runtime.check_process("model")
        run, config, padding = select(runs, slot), self.configs[slot], Padding(self.allocation, self._capacity)
        about = describe(config, int(run.step), int(run.diverged), self.images, padding, data or {})
        return make_model(config, run.state, about, self._compiled)
