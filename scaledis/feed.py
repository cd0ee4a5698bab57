"""How images reach the training step: from the device itself, or gathered on the host beside the computation.

Both ways draw the same images for the same run and step, and both are one function: (runs, steps) -> (runs, terms).
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from scaledis import platform, registry
from scaledis.datasets import Dataset

RUNS, EVERYWHERE = PartitionSpec("runs"), PartitionSpec()
AHEAD = 3  # batches gathered before they are wanted
ROOM = 0.5  # of a device's memory that a data set may take

Draw = Callable[[Any, Any], tuple[Array, Array]]  # (run, arrays) -> (image indices [B], the key of the step's rest)
Update = Callable[[Any, Array, Array], tuple[Any, dict[str, Array]]]  # (run, images, key) -> (run, terms)
Advance = Callable[[Any, int], tuple[Any, dict[str, Array]]]


def advancing(dataset: Dataset, memory: str, arrays: Any, draw: Draw, update: Update, mesh: Mesh) -> Advance:
    """(runs [R], steps) -> (runs, terms [R], means over the steps), for any number of steps; donates `runs`.

    Args:
      dataset: where the images come from.
      memory: "device", "host", or "auto": on the device if the data set fits there.
      arrays: of the sampling, put on every device.
      draw, update: a step of one run.
      mesh: of the axis "runs".
    """
    fits = registry.choose("data.memory", memory, MEMORIES)(dataset)
    return (_from_device if fits else _from_host)(dataset, arrays, draw, update, mesh)


def _fits(dataset: Dataset) -> bool:
    """On a CPU always: its devices share a memory map, of which the system keeps in memory what is read."""
    stats = jax.devices()[0].memory_stats() or {}
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(dataset.source))
    return jax.default_backend() == "cpu" or size < ROOM * stats.get("bytes_limit", np.inf)


MEMORIES = {"auto": _fits, "device": lambda dataset: True, "host": lambda dataset: False}


def _compiled(function: Callable, mesh: Mesh, in_specs: tuple, donated: tuple[int, ...]) -> Callable:
    sharded = jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=RUNS, check_vma=False)
    return jax.jit(sharded, donate_argnums=donated, compiler_options=platform.compiler_options(1))


def _from_device(dataset: Dataset, arrays: Any, draw: Draw, update: Update, mesh: Mesh) -> Advance:
    """The data set lies on every device, and a stretch of steps is one call."""

    def ready(run, arrays, source):
        index, key = draw(run, arrays)
        return dataset.gather(source, index), key

    def stretch(runs, arrays, source, steps):
        all_ready = jax.vmap(ready, in_axes=(0, None, None))

        def body(_, carry):
            runs, batch, totals = carry
            runs, terms = jax.vmap(update)(runs, *batch)
            return runs, all_ready(runs, arrays, source), jax.tree.map(jnp.add, totals, terms)

        # Each step's images are made at the end of the step before: carried, they are computed once; within a step XLA
        # would compose them anew for each of their uses.
        batch = all_ready(runs, arrays, source)
        terms = jax.eval_shape(jax.vmap(update), runs, *batch)[1]
        zeros = jax.tree.map(lambda term: jnp.zeros(term.shape, term.dtype), terms)
        # The number of steps is an argument: one program for every stretch, so that where a run was interrupted cannot
        # change how its steps were compiled.
        runs, _, totals = jax.lax.fori_loop(0, steps, body, (runs, batch, zeros))
        return runs, jax.tree.map(lambda total: total / steps, totals)

    arrays, source = jax.device_put((arrays, dataset.source), NamedSharding(mesh, EVERYWHERE))
    compiled = _compiled(stretch, mesh, (RUNS, EVERYWHERE, EVERYWHERE, EVERYWHERE), donated=(0,))
    return lambda runs, steps: compiled(runs, arrays, source, np.int32(steps))


def _from_host(dataset: Dataset, arrays: Any, draw: Draw, update: Update, mesh: Mesh) -> Advance:
    """The data set stays on the host; a thread gathers the batches of the next steps while one is computed."""

    def step(run, arrays, images):
        return update(run, images, draw(run, arrays)[1])

    def all_runs(runs, arrays, images, totals):
        runs, terms = jax.vmap(step, in_axes=(0, None, 0))(runs, arrays, images)
        return runs, jax.tree.map(jnp.add, totals, terms)

    by_run = NamedSharding(mesh, RUNS)
    arrays = jax.device_put(arrays, NamedSharding(mesh, EVERYWHERE))
    compiled = _compiled(all_runs, mesh, (RUNS, EVERYWHERE, RUNS, RUNS), donated=(0, 3))
    indices = jax.jit(jax.vmap(lambda run, arrays: draw(run, arrays)[0], in_axes=(0, None)))

    def advance(runs, steps):
        start = jax.device_get(runs._replace(method=()))

        def batch(step):
            index = np.asarray(indices(start._replace(step=start.step + np.int32(step)), arrays))
            return dataset.images(index.ravel()).reshape(*index.shape, *dataset.image_shape)

        totals = None
        for images in _ahead(batch, steps):
            images = jax.device_put(images, by_run)
            if totals is None:
                terms = jax.eval_shape(jax.vmap(step, in_axes=(0, None, 0)), runs, arrays, images)[1]
                totals = jax.device_put(jax.tree.map(lambda term: np.zeros(term.shape, term.dtype), terms), by_run)
            runs, totals = compiled(runs, arrays, images, totals)
        return runs, jax.tree.map(lambda total: total / np.float32(steps), totals)

    return advance


def _ahead(batch: Callable[[int], np.ndarray], steps: int) -> Iterator[np.ndarray]:
    """batch(0), batch(1), ..., each computed by a thread while those before it are used."""
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(batch, step) for step in range(min(AHEAD, steps)))
        for step in range(steps):
            images = waiting.popleft().result()
            if step + AHEAD < steps:
                waiting.append(thread.submit(batch, step + AHEAD))
            yield images
