"""Training steps: how the images of a step reach its compiled program.

Images are on the device, or are gathered on the host while the device computes. Both ways draw the same images for the
same run and step, and both give one function: (runs, steps) -> (runs, terms).
"""

import functools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from scaledis.core import hosts, registry, runtime
from scaledis.datasets import Dataset
from scaledis.datasets.base.sampling import Sampler
from scaledis.networks import conv
from scaledis.types import Batch, Pytree, RunState, Terms

RUNS, EVERYWHERE = PartitionSpec("runs"), PartitionSpec()
COMPILED = 4  # the number of compiled steps that a process remembers
AHEAD = 3  # batches gathered before they are wanted
ROOM = 0.5  # of a device's memory that a data set may take

Gather = Callable[[Pytree, Array], Array]  # (source, index [B]) -> images, as a Dataset gathers them
Draw = Callable[[RunState, Sampler], tuple[Array, Array]]  # -> (image indices [B], the key of the rest of the step)
Update = Callable[[RunState, Batch, Array], tuple[RunState, Terms]]  # (run, batch, key) -> (run, terms)


class Advance(NamedTuple):
    """Any number of steps of a population, with one compilation.

    call: (runs [R], steps) -> (runs, terms [R], means over the steps); it donates `runs`.
    lower: runs [R] as shapes -> the program, not yet compiled.
    """

    call: Callable[[RunState, int], tuple[RunState, Terms]]
    lower: Callable[[RunState], jax.stages.Lowered]

    @runtime.pinned()
    def __call__(self, runs: RunState, steps: int) -> tuple[RunState, Terms]:
        return self.call(runs, steps)


def make_advance(dataset: Dataset, memory: str, arrays: Sampler, draw: Draw, update: Update, mesh: Mesh) -> Advance:
    """Returns the steps of a population whose images come from a data set.

    Args:
      dataset: where the images come from.
      memory: "device", "host", or "auto": on the device if the data set fits there.
      arrays: the sampler's, which are put on every device.
      draw, update: a step of one run.
      mesh: the devices; the runs lie along its axis "runs".
    """
    fits = registry.choose("data.memory", memory, MEMORIES)(dataset, mesh.local_devices[0])
    return (_from_device if fits else _from_host)(dataset, arrays, draw, update, mesh)


def _fits(dataset: Dataset, device: jax.Device) -> bool:
    """Returns whether a data set fits on a device; always on a CPU, where the system reads a memory map as needed."""
    stats = device.memory_stats() or {}
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(dataset.source))
    return bool(device.platform == "cpu" or size < ROOM * stats.get("bytes_limit", np.inf))


Fits = Callable[[Dataset, jax.Device], bool]
MEMORIES: dict[str, Fits] = {"auto": _fits, "device": lambda *_: True, "host": lambda *_: False}


def _compiled(
    function: Callable[..., Pytree], mesh: Mesh, in_specs: tuple[PartitionSpec, ...], donated: tuple[int, ...]
) -> jax.stages.Wrapped:
    platform = runtime.platform(mesh.devices.flat)

    def traced(*arguments: Pytree) -> Pytree:
        with conv.using(conv.FORMS[platform]):
            return function(*arguments)

    sharded = jax.shard_map(traced, mesh=mesh, in_specs=in_specs, out_specs=RUNS, check_vma=False)
    return jax.jit(sharded, donate_argnums=donated, compiler_options=runtime.compiler_options(1, platform))


@functools.lru_cache(maxsize=COMPILED)
def _make_stretch(gather: Gather, draw: Draw, update: Update, mesh: Mesh) -> jax.stages.Wrapped:
    """Returns (runs, arrays, source, steps) -> (runs, terms), a stretch of steps as one call."""

    def ready(run: RunState, arrays: Sampler, source: Pytree) -> tuple[Batch, Array]:
        index, key = draw(run, arrays)
        return Batch(gather(source, index), index), key

    def stretch(runs: RunState, arrays: Sampler, source: Pytree, steps: Array) -> tuple[RunState, Terms]:
        all_ready = jax.jit(jax.vmap(ready, in_axes=(0, None, None)), inline=True)  # jit: each is traced once
        all_update = jax.jit(jax.vmap(update), inline=True)

        def body(_: Array, carry: tuple[RunState, tuple[Batch, Array], Terms]) -> Pytree:
            runs, batch, totals = carry
            runs, terms = all_update(runs, *batch)
            return runs, all_ready(runs, arrays, source), jax.tree.map(jnp.add, totals, terms)

        # Each step's images are made at the end of the step before: a carried value is computed once, and within a step
        # XLA would make the images again for each use.
        batch = all_ready(runs, arrays, source)
        terms = jax.eval_shape(all_update, runs, *batch)[1]
        zeros = jax.tree.map(lambda term: jnp.zeros(term.shape, term.dtype), terms)
        # The number of steps is an argument, so that every stretch has one program, wherever a run was interrupted.
        runs, _, totals = jax.lax.fori_loop(0, steps, body, (runs, batch, zeros))
        return runs, jax.tree.map(lambda total: total / steps, totals)

    return _compiled(stretch, mesh, (RUNS, EVERYWHERE, EVERYWHERE, EVERYWHERE), donated=(0,))


def _from_device(dataset: Dataset, arrays: Sampler, draw: Draw, update: Update, mesh: Mesh) -> Advance:
    """Returns the steps for a data set on every device, a stretch of them as one call."""
    stretch, everywhere = _make_stretch(dataset.gather, draw, update, mesh), NamedSharding(mesh, EVERYWHERE)
    held = arrays, dataset.source
    placed = functools.cache(lambda: hosts.place(held, everywhere))  # `lower` needs no device
    return Advance(
        lambda runs, steps: stretch(runs, *placed(), np.int32(steps)),
        lambda runs: stretch.lower(runs, *_shapes(held, everywhere), np.int32(1)),
    )


def _shapes(tree: Pytree, sharding: NamedSharding) -> Pytree:
    """Returns the arrays of a tree as shapes on the devices of a sharding, which may be descriptions."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


class _Step(NamedTuple):
    """One step of images that the host gathers.

    indices: (runs, arrays) -> the images of the step, int32 [R, B].
    terms: (runs, arrays, images) -> its terms as shapes.
    add: (runs, arrays, images, totals) -> (runs, totals), compiled.
    """

    indices: jax.stages.Wrapped
    terms: Callable[[RunState, Sampler, Pytree], Terms]
    add: jax.stages.Wrapped


@functools.lru_cache(maxsize=COMPILED)
def _make_step(draw: Draw, update: Update, mesh: Mesh) -> _Step:
    def step(run: RunState, arrays: Sampler, images: Array) -> tuple[RunState, Terms]:
        index, key = draw(run, arrays)
        return update(run, Batch(images, index), key)

    all_steps = jax.jit(jax.vmap(step, in_axes=(0, None, 0)), inline=True)  # jit: it is traced once

    def add(runs: RunState, arrays: Sampler, images: Array, totals: Terms) -> tuple[RunState, Terms]:
        runs, terms = all_steps(runs, arrays, images)
        return runs, jax.tree.map(jnp.add, totals, terms)

    return _Step(
        jax.jit(jax.vmap(lambda run, arrays: draw(run, arrays)[0], in_axes=(0, None))),
        lambda *arguments: jax.eval_shape(all_steps, *arguments)[1],
        _compiled(add, mesh, (RUNS, EVERYWHERE, RUNS, RUNS), donated=(0, 3)),
    )


def _from_host(dataset: Dataset, arrays: Sampler, draw: Draw, update: Update, mesh: Mesh) -> Advance:
    """Returns the steps for a data set on the host; a thread gathers the next batches while a step is computed."""
    step, by_run = _make_step(draw, update, mesh), NamedSharding(mesh, RUNS)
    everywhere = NamedSharding(mesh, EVERYWHERE)
    placed = functools.cache(lambda: hosts.place(arrays, everywhere))

    def lower(runs: RunState) -> jax.stages.Lowered:
        index = jax.eval_shape(step.indices, runs, arrays)
        images = _shapes(jax.ShapeDtypeStruct((*index.shape, *dataset.image_shape), np.uint8), by_run)
        totals = _shapes(step.terms(runs, arrays, images), by_run)
        return step.add.lower(runs, _shapes(arrays, everywhere), images, totals)

    def advance(runs: RunState, steps: int) -> tuple[RunState, Terms]:
        start = hosts.fetch(runs._replace(state=()))

        @runtime.pinned()  # since it runs in another thread
        def batch(number: int) -> np.ndarray:
            index = np.asarray(step.indices(start._replace(step=start.step + np.int32(number)), arrays))
            return dataset.images(index.ravel()).reshape(*index.shape, *dataset.image_shape)

        totals = None
        for images in _ahead(batch, steps):
            images = hosts.place(images, by_run)
            if totals is None:
                terms = step.terms(runs, placed(), images)
                totals = hosts.place(jax.tree.map(lambda term: np.zeros(term.shape, term.dtype), terms), by_run)
            runs, totals = step.add(runs, placed(), images, totals)
        return runs, jax.tree.map(lambda total: total / np.float32(steps), totals)

    return Advance(advance, lower)


def _ahead(batch: Callable[[int], np.ndarray], steps: int) -> Iterator[np.ndarray]:
    """Yields batch(0), batch(1), ..., each computed by a thread while earlier ones are used."""
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(batch, step) for step in range(min(AHEAD, steps)))
        for step in range(steps):
            images = waiting.popleft().result()
            if step + AHEAD < steps:
                waiting.append(thread.submit(batch, step + AHEAD))
            yield images
