"""Runs as one compiled program: `jit(vmap(update))` over R runs, the axis of runs sharded over all devices.

A run alone is a population of one. Everything random in a run flows from its key and its step, so data order, resume
and seeds do not depend on which runs train beside it.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding

from scaledis import methods
from scaledis.config import Config
from scaledis.core import convert, runtime
from scaledis.core.chunks import chunked, joined
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.sweeps import plan
from scaledis.training import steps
from scaledis.types import NEVER, Batch, Codes, ImageSpec, Method, Model, RunState, Terms

COMPILED = ("method", "mesh", "by_run", "make_advance", "_compiled_init", "_compiled")  # what one shape shares


def widened(leaf: Array, shape: Sequence[int]) -> Array:
    """A leaf of a run's state with zeros at its ends, up to the shape that it has in a wider network.

    Hidden units of zero kernels on both sides stay there: their activation and each gradient of theirs is zero. The
    wider network is then the narrow one, to the rounding of its longer sums.
    """
    return jnp.pad(leaf, [(0, wide - own) for own, wide in zip(leaf.shape, shape, strict=True)])


def active(config: Config, allocation: Sequence[int]) -> np.ndarray:
    """Which units of the padded `allocation` this run has: bool [K]."""
    own = config.model.allocation
    return np.concatenate([np.arange(size) < units for size, units in zip(allocation, own, strict=True)])


def hyperparameters(config: Config, allocation: Sequence[int]) -> dict[str, np.ndarray]:
    """What a run carries as arrays, the method's own included."""
    carried = {
        "active": active(config, allocation),
        "sigma": config.objective.sigma,
        "kl_warmup": config.objective.kl_warmup,
        "learning_rate": config.train.learning_rate,
    }
    own = methods.arrays(config)
    return own | {name: np.asarray(value, np.float32) for name, value in carried.items()}


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
        self._shape = plan.program(self.config), self.allocation, self._capacities.tolist(), images, mesh
        if like is not None and like._shape == self._shape:
            self.__dict__ |= {name: getattr(like, name) for name in COMPILED}
            return
        if like is not None:
            like.let_go()
        self.method = self._build(int(self._capacities.max()))

    def _build(self, capacity: int) -> Method:
        model = dataclasses.replace(self.config.model, allocation=self.allocation, parameters=capacity)
        return methods.build(dataclasses.replace(self.config, model=model), self.images)

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
    def _compiled(self) -> tuple[Callable, Callable]:
        pinned = runtime.pinned()
        return pinned(jax.jit(self.method.encode)), pinned(jax.jit(self.method.decode))

    def model(self, runs: RunState, slot: int) -> Model:
        """Run `slot` as a Model. All models of a population share two compiled functions."""
        runtime.check_process("model")
        run, config = select(runs, slot), self.configs[slot]
        units = np.flatnonzero(active(config, self.allocation))
        encode_padded, decode_padded = self._compiled

        def encode(images: Any) -> Codes:
            runtime.check_process("encode")
            images = convert.numbers("images", images)
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.images.shape:
                expected = "uint8 [B, " + ", ".join(map(str, self.images.shape)) + "]"
                raise UserError(f"images: {images.dtype} {list(images.shape)}; this model encodes {expected}.")
            parts = [jax.device_get(encode_padded(run.state, chunk)) for chunk in chunked(images)]
            mean, log_variance = (joined([part[place] for part in parts], len(images))[:, units] for place in (0, 1))
            return Codes(mean, log_variance, np.asarray(parts[0].levels)[units])

        def decode(codes: Any) -> np.ndarray:
            runtime.check_process("decode")
            codes = convert.numbers("codes", codes).astype(np.float32)
            if codes.ndim != 2 or codes.shape[1] != len(units):
                raise UserError(f"codes: {list(codes.shape)}; this model decodes [B, {len(units)}].")
            whole = np.zeros((len(codes), sum(self.allocation)), np.float32)
            whole[:, units] = codes
            return joined((np.asarray(decode_padded(run.state, chunk)) for chunk in chunked(whole)), len(codes))

        return Model(config, int(run.step), run.state, encode, decode)
