"""From images to training steps: which images a run sees, how often, and how they reach the compiled step.

Images lie on the device itself, or are gathered on the host beside the computation. Both ways draw the same images for
the same run and step, and both are one function: (runs, steps) -> (runs, terms).
"""

import functools
import hashlib
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from scaledis import datasets, hosts, registry, runtime
from scaledis.config import Data, is_float32
from scaledis.datasets import Dataset
from scaledis.errors import UserError
from scaledis.types import Batch, ImageSpec

RUNS, EVERYWHERE = PartitionSpec("runs"), PartitionSpec()
AHEAD = 3  # batches gathered before they are wanted
FOLDER = "folder"  # groups images by the folder that they lie in
ROOM = 0.5  # of a device's memory that a data set may take

Draw = Callable[[Any, Any], tuple[Array, Array]]  # (run, arrays) -> (image indices [B], the key of the step's rest)
Update = Callable[[Any, Batch, Array], tuple[Any, dict[str, Array]]]  # (run, batch, key) -> (run, terms)


class Advance(NamedTuple):
    """Any number of steps of a population, with one compilation.

    call: (runs [R], steps) -> (runs, terms [R], means over the steps); it donates `runs`.
    lower: runs [R] as shapes -> the program, not yet compiled.
    """

    call: Callable[[Any, int], tuple[Any, dict[str, Array]]]
    lower: Callable[[Any], jax.stages.Lowered]

    @runtime.pinned()
    def __call__(self, runs: Any, steps: int) -> tuple[Any, dict[str, Array]]:
        return self.call(runs, steps)


class Sampler(NamedTuple):
    """Images in cells of equal factors; an argument of every compiled step.

    order: int32 [n], the images of the split, cell by cell.
    first, counts: int32 [C], where each cell starts in `order`, and how many images it has.
    log_weights: [C], how often a cell is drawn; one cell of all images where no factors are correlated.
    """

    order: np.ndarray
    first: np.ndarray
    counts: np.ndarray
    log_weights: np.ndarray


def split(dataset: Dataset, data: Data, name: str) -> np.ndarray:
    """Image indices int32 [n] of a split, the same in every run: "all", "train" or "held_out".

    `data.held_out` is the share of images that no run trains on, drawn once and for all, or with `data.held_out_by` the
    share of groups, which are held out whole; where it is 0 the data set's own split holds, if it has one, else nothing
    is held out. Raises UserError for a split that is empty.
    """
    mask = np.zeros(dataset.size, bool)
    if data.held_out_by:
        mask = _held_out_groups(dataset, data)
    elif data.held_out:
        mask[np.random.default_rng(0).permutation(dataset.size)[: round(data.held_out * dataset.size)]] = True
    elif dataset.held_out is not None:
        mask[dataset.held_out] = True
    found = np.flatnonzero({"all": np.ones_like(mask), "train": ~mask, "held_out": mask}[name]).astype(np.int32)
    if not len(found):
        raise UserError(f"data.held_out: {data.held_out} leaves no images of {dataset.name} in the split {name!r}.")
    return found


def _held_out_groups(dataset: Dataset, data: Data) -> np.ndarray:
    """Whether each image is held out, bool [N]: the images of a folder, or of a value of a factor, are, or are not.

    Raises UserError for an unknown factor, and where all groups fall on one side.
    """
    groups = _groups(dataset, data.held_out_by)
    numbers = np.unique(groups)
    count = round(data.held_out * len(numbers))
    if not 0 < count < len(numbers):
        share = f"{data.held_out} of {len(numbers)} groups by data.held_out_by={data.held_out_by}"
        raise UserError(f"data.held_out: {share} rounds to {count}; at least one must be held out, and one train.")
    return np.isin(groups, np.random.default_rng(0).permutation(numbers)[:count])


def _groups(dataset: Dataset, by: str) -> np.ndarray:
    """The group of each image, int [N]: the folder that it lies in, or the value of a factor."""
    if by == FOLDER and dataset.folders is not None:
        return dataset.folders
    choices = [FOLDER] * (dataset.folders is not None) + list(dataset.factor_names)
    if not choices:
        raise UserError(f"data.held_out_by: {by!r} is unknown; {dataset.name} has neither folders nor factors.")
    registry.check("data.held_out_by", by, choices)
    return dataset.factors(np.arange(dataset.size))[:, dataset.factor_names.index(by)]


def warn_of_neighbors(dataset: Dataset, data: Data) -> None:
    """Says on stderr where images that lie together in sub-folders, as the frames of a recording do, are split."""
    folders = 1 if dataset.folders is None else len(np.unique(dataset.folders))
    if data.held_out and not data.held_out_by and 1 < folders < dataset.size:
        print(
            f"data.held_out: the images of {folders:,} folders of {dataset.name} are split one by one, so that the "
            "neighbors of a held out frame may train; data.held_out_by=folder holds out whole folders.",
            file=sys.stderr,
        )


@functools.lru_cache(maxsize=2)
def load_dataset(data: Data) -> Dataset:
    """The data set of a config. Raises what `datasets.load` raises."""
    dataset = datasets.load(
        data.name,
        data.directory,
        path=data.path,
        resolution=data.resolution,
        scale=data.scale,
        bits=data.bits,
        folder_factor=data.folder_factor,
        skip_unreadable=data.skip_unreadable,
        accept_checksum=data.accept_checksum,
    )
    warn_of_neighbors(dataset, data)
    return dataset


def facts(dataset: Dataset, data: Data) -> dict[str, Any]:
    """What a run writes down of its data set, as JSON: enough to load the run without it, and to know it again."""
    train = split(dataset, data, "train")
    strings = [values.tolist() for values in map(np.asarray, dataset.factor_values) if values.dtype.kind == "U"]
    return {
        "name": dataset.name,
        "image_shape": list(dataset.image_shape),
        "size": dataset.size,
        "train_size": len(train),
        "train_split": hashlib.blake2b(train.tobytes(), digest_size=8).hexdigest(),
        "factors": dict(zip(dataset.factor_names, dataset.factor_sizes, strict=True)),
        "ordered_by_numbers": any(values != sorted(values) for values in strings),
        "fingerprint": dataset.fingerprint,
    }


def check_same(held: Mapping[str, Any], found: Mapping[str, Any], run: str) -> None:
    """Raises UserError, saying what differs, if a run was trained on other data than those `found`."""
    differing = [
        f"{key} was {held[key]} and is {found[key]}" for key in found if key in held and held[key] != found[key]
    ]
    if differing:
        order = ""
        if found.get("ordered_by_numbers") and "ordered_by_numbers" not in held:
            order = (
                " Since then names are in the order of their numbers, 2 before 10; train a new run in another workdir."
            )
        raise UserError(f"data: {run} was trained on other images or factors: {'; '.join(differing)}.{order}")


def spec_of(dataset: Dataset, data: Data) -> ImageSpec:
    """What a method must know of a data set: the shape of its images, and on how many it trains."""
    return ImageSpec(dataset.image_shape, len(split(dataset, data, "train")))


def make_sampler(dataset: Dataset, data: Data) -> Sampler:
    """How training images are drawn: uniformly, or with pairs of factors correlated.

    `data.correlation` lists (factor a, factor b, sigma): with both scaled to [0, 1] by their number of values,

        p(a, b) proportional to exp(-(a - b)^2 / (2 sigma^2))      (Traeuble et al. 2021)

    The other factors stay uniform and independent of these. Raises UserError for an unknown factor.
    """
    order = split(dataset, data, "train")
    if not data.correlation:
        return Sampler(order, np.zeros(1, np.int32), np.asarray([len(order)], np.int32), np.zeros(1, np.float32))
    for a, b, _ in data.correlation:
        for name in (a, b):
            registry.check("data.correlation", name, dataset.factor_names)
    names = list(dict.fromkeys(name for a, b, _ in data.correlation for name in (a, b)))
    columns = [dataset.factor_names.index(name) for name in names]
    cells, cell_of_image, count = np.unique(
        dataset.factors(order)[:, columns], axis=0, return_inverse=True, return_counts=True
    )
    scaled = dict(zip(names, (cells / np.maximum(np.asarray(dataset.factor_sizes)[columns] - 1, 1)).T, strict=True))
    log_weights = sum(-((scaled[a] - scaled[b]) ** 2) / (2 * sigma**2) for a, b, sigma in data.correlation)
    order = order[np.argsort(cell_of_image.ravel(), kind="stable")]
    first = np.cumsum(count) - count
    return Sampler(order, first.astype(np.int32), count.astype(np.int32), log_weights.astype(np.float32))


def draw(sampler: Sampler, key: Array, n: int) -> Array:
    """Image indices int32 [n], with replacement; runs inside a compiled step. Consumes `key`."""
    cell = jax.random.categorical(jax.random.fold_in(key, 0), jnp.asarray(sampler.log_weights), shape=(n,))
    place = jax.random.randint(key, (n,), 0, jnp.asarray(sampler.counts)[cell])
    return jnp.asarray(sampler.order)[jnp.asarray(sampler.first)[cell] + place]


def check(data: Data) -> None:
    """Raises UserError for a share outside [0, 1), for groups without a share, and for another correlation than
    (factor, factor, sigma above 0).
    """
    if not 0 <= data.held_out < 1:
        raise UserError(f"data.held_out: {data.held_out!r} must be a share of at least 0 and below 1.")
    if data.held_out_by and not data.held_out:
        raise UserError(
            f"data.held_out_by: {registry.short(data.held_out_by)} holds nothing out, as data.held_out is 0."
        )
    for pair in data.correlation:
        named = isinstance(pair, tuple) and len(pair) == 3 and all(isinstance(name, str) for name in pair[:2])
        if not named or pair[0] == pair[1] or not is_float32(pair[2]) or not pair[2] > 0:
            raise UserError(f"data.correlation: {registry.short(pair)} must be (factor, other factor, sigma above 0).")


def make_advance(dataset: Dataset, memory: str, arrays: Any, draw: Draw, update: Update, mesh: Mesh) -> Advance:
    """The steps of a population whose images come from a data set.

    Args:
      dataset: where the images come from.
      memory: "device", "host", or "auto": on the device if the data set fits there.
      arrays: those of the sampler, put on every device.
      draw, update: a step of one run.
      mesh: of the axis "runs".
    """
    fits = registry.choose("data.memory", memory, MEMORIES)(dataset)
    return (_from_device if fits else _from_host)(dataset, arrays, draw, update, mesh)


def _fits(dataset: Dataset) -> bool:
    """On a CPU always: its devices share a memory map, of which the system keeps in memory what is read."""
    stats = jax.local_devices()[0].memory_stats() or {}
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(dataset.source))
    return jax.default_backend() == "cpu" or size < ROOM * stats.get("bytes_limit", np.inf)


MEMORIES = {"auto": _fits, "device": lambda dataset: True, "host": lambda dataset: False}


def _compiled(function: Callable, mesh: Mesh, in_specs: tuple, donated: tuple[int, ...]) -> jax.stages.Wrapped:
    sharded = jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=RUNS, check_vma=False)
    return jax.jit(sharded, donate_argnums=donated, compiler_options=runtime.compiler_options(1))


def _from_device(dataset: Dataset, arrays: Any, draw: Draw, update: Update, mesh: Mesh) -> Advance:
    """The data set lies on every device, and a stretch of steps is one call."""

    def ready(run, arrays, source):
        index, key = draw(run, arrays)
        return Batch(dataset.gather(source, index), index), key

    def stretch(runs, arrays, source, steps):
        all_ready = jax.jit(jax.vmap(ready, in_axes=(0, None, None)), inline=True)  # jit: each is traced once
        all_update = jax.jit(jax.vmap(update), inline=True)

        def body(_, carry):
            runs, batch, totals = carry
            runs, terms = all_update(runs, *batch)
            return runs, all_ready(runs, arrays, source), jax.tree.map(jnp.add, totals, terms)

        # Each step's images are made at the end of the step before: carried, they are computed once; within a step XLA
        # would compose them anew for each of their uses.
        batch = all_ready(runs, arrays, source)
        terms = jax.eval_shape(all_update, runs, *batch)[1]
        zeros = jax.tree.map(lambda term: jnp.zeros(term.shape, term.dtype), terms)
        # The number of steps is an argument: one program for every stretch, so that where a run was interrupted cannot
        # change how its steps were compiled.
        runs, _, totals = jax.lax.fori_loop(0, steps, body, (runs, batch, zeros))
        return runs, jax.tree.map(lambda total: total / steps, totals)

    arrays, source = hosts.place((arrays, dataset.source), NamedSharding(mesh, EVERYWHERE))
    compiled = _compiled(stretch, mesh, (RUNS, EVERYWHERE, EVERYWHERE, EVERYWHERE), donated=(0,))
    return Advance(
        lambda runs, steps: compiled(runs, arrays, source, np.int32(steps)),
        lambda runs: compiled.lower(runs, arrays, source, np.int32(1)),
    )


def _from_host(dataset: Dataset, arrays: Any, draw: Draw, update: Update, mesh: Mesh) -> Advance:
    """The data set stays on the host; a thread gathers the batches of the next steps while one is computed."""

    def step(run, arrays, images):
        index, key = draw(run, arrays)
        return update(run, Batch(images, index), key)

    all_steps = jax.jit(jax.vmap(step, in_axes=(0, None, 0)), inline=True)  # jit: it is traced once

    def all_runs(runs, arrays, images, totals):
        runs, terms = all_steps(runs, arrays, images)
        return runs, jax.tree.map(jnp.add, totals, terms)

    by_run = NamedSharding(mesh, RUNS)
    own, arrays = arrays, hosts.place(arrays, NamedSharding(mesh, EVERYWHERE))
    compiled = _compiled(all_runs, mesh, (RUNS, EVERYWHERE, RUNS, RUNS), donated=(0, 3))
    indices = jax.jit(jax.vmap(lambda run, arrays: draw(run, arrays)[0], in_axes=(0, None)))

    def lower(runs):
        def shapes(tree):
            return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=by_run), tree)

        index = jax.eval_shape(indices, runs, arrays)
        images = shapes(jax.ShapeDtypeStruct((*index.shape, *dataset.image_shape), np.uint8))
        totals = jax.eval_shape(all_steps, runs, arrays, images)[1]
        return compiled.lower(runs, arrays, images, shapes(totals))

    def advance(runs, steps):
        start = hosts.fetch(runs._replace(state=()))

        @runtime.pinned()  # in a thread of its own
        def batch(step):
            index = np.asarray(indices(start._replace(step=start.step + np.int32(step)), own))
            return dataset.images(index.ravel()).reshape(*index.shape, *dataset.image_shape)

        totals = None
        for images in _ahead(batch, steps):
            images = hosts.place(images, by_run)
            if totals is None:
                terms = jax.eval_shape(all_steps, runs, arrays, images)[1]
                totals = hosts.place(jax.tree.map(lambda term: np.zeros(term.shape, term.dtype), terms), by_run)
            runs, totals = compiled(runs, arrays, images, totals)
        return runs, jax.tree.map(lambda total: total / np.float32(steps), totals)

    return Advance(advance, lower)


def _ahead(batch: Callable[[int], np.ndarray], steps: int) -> Iterator[np.ndarray]:
    """batch(0), batch(1), ..., each computed by a thread while those before it are used."""
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(batch, step) for step in range(min(AHEAD, steps)))
        for step in range(steps):
            images = waiting.popleft().result()
            if step + AHEAD < steps:
                waiting.append(thread.submit(batch, step + AHEAD))
            yield images
