"""The program of a population: its method and its devices, compiled once for all populations of one shape."""

import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from numpy.typing import ArrayLike

from scaledis import methods
from scaledis.config import Train
from scaledis.core import UserError, runtime, streams
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.networks import numerics
from scaledis.training import steps
from scaledis.types import NEVER, Batch, Codes, Config, Hyperparameters, ImageSpec, Method, Pytree, RunState, Terms

PROGRAMS = 16  # the number that a process remembers
OF_LOG = ("step", "diverged")  # what a line of the log has beside the terms

Start = Callable[[Pytree, Pytree], RunState]  # (seeds [R], hyperparameters [R]) -> runs [R]


class Shape(NamedTuple):
    """The key of a program: populations of one shape share it.

    chosen: the specs that the names of its config stand for (`methods.chosen`); a notebook may register others.
    config: what all runs have in common (`plan.shared`).
    allocation: the one to which all runs are padded.
    capacities: [R], `model.parameters` of each run.
    images: what the method must know of the data set.
    mesh: the devices over which the runs are spread.
    """

    chosen: tuple[object, ...]
    config: Config
    allocation: tuple[int, ...]
    capacities: tuple[int, ...]
    images: ImageSpec
    mesh: Mesh

    def method(self, capacity: int) -> Method:
        """Returns the method at the padded allocation and a capacity."""
        model = dataclasses.replace(self.config.model, allocation=self.allocation, parameters=capacity)
        return methods.build(dataclasses.replace(self.config, model=model), self.images)


class Program(NamedTuple):
    """The functions that all populations of a shape share.

    method: that of all runs, at the largest of their capacities.
    by_run: the sharding of an array with a leading axis [R].
    start, init: (seeds [R], hyperparameters [R]) -> the runs [R] at their start; `init` is compiled.
    encode, decode: those of the method, compiled.
    make_advance: data set -> Advance, which takes any number of steps. The terms of a frozen run are NaN.
    """

    method: Method
    by_run: NamedSharding
    start: Start
    init: Start
    encode: Callable[[Pytree, ArrayLike], Codes]
    decode: Callable[[Pytree, ArrayLike], Array]
    make_advance: Callable[[Dataset], steps.Advance]


@functools.lru_cache(maxsize=PROGRAMS)
def make_program(shape: Shape) -> Program:
    """Returns the program of a shape: the same one, with its compiled functions, for all populations of the shape."""
    method, by_run, data = shape.method(max(shape.capacities)), NamedSharding(shape.mesh, steps.RUNS), shape.config.data
    draw, update = make_step(method, shape.config.train)
    start = make_start(shape)

    def make_advance(dataset: Dataset) -> steps.Advance:
        sampler = sampling.make_sampler(dataset, data)
        return steps.make_advance(dataset, data.memory, sampler, draw, update, shape.mesh)

    pinned, platform = runtime.pinned(), runtime.platform(shape.mesh.devices.flat)
    init = jax.jit(start, out_shardings=by_run, compiler_options=runtime.compiler_options(0, platform))
    encode, decode = jax.jit(method.encode), jax.jit(method.decode)
    return Program(method, by_run, start, pinned(init), pinned(encode), pinned(decode), make_advance)


def make_start(shape: Shape) -> Start:
    """Returns the function that draws all runs at their start, each at its capacity."""
    capacities = sorted(set(shape.capacities))
    slots = [np.flatnonzero(np.equal(shape.capacities, capacity)) for capacity in capacities]
    starts = [jax.vmap(functools.partial(start_run, shape.method(capacity))) for capacity in capacities]
    order = np.argsort(np.concatenate(slots))

    def joined(*leaves: Array) -> Array:
        wide = leaves[-1].shape[1:]  # of the largest capacity
        return jnp.concatenate([widened(leaf, (len(leaf), *wide)) for leaf in leaves])[order]

    def start(seeds: Pytree, hyperparameters: Pytree) -> RunState:
        if len(starts) == 1:
            return starts[0](seeds, hyperparameters)
        own = [jax.tree.map(operator.itemgetter(each), (seeds, hyperparameters)) for each in slots]
        runs: RunState = jax.tree.map(joined, *(start(*each) for start, each in zip(starts, own, strict=True)))
        return runs

    return start


def make_step(method: Method, train: Train) -> tuple[steps.Draw, steps.Update]:
    """Returns the function that draws the images of a step, and the step of one run."""

    def draw(run: RunState, arrays: sampling.Sampler) -> tuple[Array, Array]:
        key = jax.random.fold_in(jax.random.wrap_key_data(run.key, impl=runtime.KEYS), run.step)
        return sampling.draw(arrays, streams.stream(key, "images"), train.batch), streams.stream(key, "update")

    def update(run: RunState, batch: Batch, key: Array) -> tuple[RunState, Terms]:
        """Keeps the former state of a run whose terms are not finite."""
        with numerics.using(train.matmul_precision, train.activations):
            state, terms = method.update(run.state, batch, key)
        check_terms(terms)
        finite = jnp.all(jnp.stack([jnp.isfinite(term).all() for term in terms.values()]))
        diverged = jnp.where((run.diverged == NEVER) & ~finite, run.step, run.diverged)
        healthy = diverged == NEVER
        state = jax.tree.map(lambda new, old: jnp.where(healthy, new, old), state, run.state)
        terms = jax.tree.map(lambda term: jnp.where(healthy, term, jnp.nan), terms)
        return RunState(state, run.key, run.step + healthy, diverged), terms

    return draw, update


def check_terms(terms: Terms) -> None:
    """Raises UserError for terms that a line of the log cannot have, and if there are none to tell a divergence by."""
    if not terms:
        raise UserError("terms of update: there are none; return the loss, so that the log has it.")
    for name, term in terms.items():
        if name in OF_LOG or jnp.shape(term):
            found = f"{name!r} of shape {list(jnp.shape(term))}"
            raise UserError(
                f"terms of update: {found} must be one number, by another name than {' and '.join(OF_LOG)}."
            )


def start_run(method: Method, seed: Array, hyperparameters: Hyperparameters) -> RunState:
    """Returns one run at its start."""
    key = jax.random.key(seed, impl=runtime.KEYS)
    counters = jnp.zeros((), jnp.int32), jnp.full((), NEVER, jnp.int32)
    state = method.init(streams.stream(key, "start"), hyperparameters)
    return RunState(state, jax.random.key_data(streams.stream(key, "steps")), *counters)


def widened(leaf: Array, shape: tuple[int, ...]) -> Array:
    """Returns a leaf of a run's state, padded with zeros to its shape in a wider network.

    If the kernels on both sides of a hidden unit are zero they stay zero, since its activation and its gradients are.
    The wider network then equals the narrow one, up to the rounding of its longer sums.
    """
    return jnp.pad(leaf, [(0, wide - own) for own, wide in zip(leaf.shape, shape, strict=True)])


def one_device() -> Mesh:
    """Returns a mesh of one device, of this process."""
    return Mesh(np.asarray(jax.local_devices()[:1]).reshape(1, 1), ("copies", "runs"))


def make_mesh(runs: int) -> Mesh:
    """Returns a mesh of as many devices as divide the number of runs evenly, the same number of each process.

    If the runs do not divide over the processes, each process advances all of them.
    """
    processes = jax.process_count()
    devices = [[device for device in jax.devices() if device.process_index == each] for each in range(processes)]
    apart = runs % processes == 0
    count = spread(runs // processes if apart else runs, min(map(len, devices)))
    grid = np.asarray([own[:count] for own in devices])
    return Mesh(grid.reshape(1, -1) if apart else grid, ("copies", "runs"))


def spread(runs: int, devices: int) -> int:
    """Returns over how many devices of a process its runs are spread: as many as divide their number evenly."""
    return max(count for count in range(1, devices + 1) if runs % count == 0)
