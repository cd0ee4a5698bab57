"""Runs as one compiled program: `jit(vmap(update))` over R runs, the axis of runs sharded over all devices.

A single run is a population of one. Everything random in a run follows from its key and its step, so it does not depend
on which runs train beside it, nor on where training was stopped and resumed.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from scaledis import methods
from scaledis.core import UserError, bundle, hosts, runtime
from scaledis.datasets import Dataset
from scaledis.model import Model
from scaledis.sweeps import plan, starts
from scaledis.training.model import Padding, describe, hyperparameters, make_model, restored
from scaledis.training.program import Shape, make_mesh, make_program
from scaledis.training.steps import Advance
from scaledis.types import Batch, Config, ImageSpec, RunState, State
from scaledis.workdir.checkpoint import flat, structure


@jax.jit  # one small program instead of two for each shape of a leaf
def select(runs: RunState, slot: int) -> RunState:
    """Returns run `slot` of a population."""
    run: RunState = jax.tree.map(lambda leaf: leaf[slot], runs)
    return run


def replaced(chosen: np.ndarray, new: RunState, old: RunState) -> RunState:
    """Returns the population `old` with the runs of the mask [R] taken from `new`, laid out as `old` is."""

    def joined(new: jax.Array, old: jax.Array) -> jax.Array:
        leaf = jnp.where(chosen.reshape(-1, *[1] * (old.ndim - 1)), new, old)
        placed: jax.Array = jax.lax.with_sharding_constraint(leaf, old.sharding)
        return placed

    runs: RunState = jax.tree.map(joined, new, old)
    return runs


class Population:
    """R runs that share a program.

    Attributes:
      configs: of the runs; they agree in `plan.shared`.
      images: the shape of the images, and their number.
      config: the first config, for the keys that all runs share.
      allocation: the one to which all runs are padded.
      program: what all populations of this shape share.
    """

    def __init__(
        self,
        configs: Sequence[Config],
        images: ImageSpec,
        mesh: Mesh | None = None,
        allocation: tuple[int, ...] | None = None,
    ):
        """Pads all runs to `allocation`, by default the smallest that holds those of the runs.

        Raises UserError for an allocation that does not hold those of the runs.
        """
        self.configs, self.images, self.config = list(configs), images, configs[0]
        own = plan.common_allocation(self.configs)
        self.allocation = allocation or own
        if len(self.allocation) != len(own) or np.any(np.less(self.allocation, own)):
            wrong = f"{list(self.allocation)} of the plan does not hold the runs' own, {list(own)}"
            raise UserError(f"allocation: {wrong}.")
        shape = Shape(
            methods.chosen(self.config),
            plan.shared(self.config),
            self.allocation,
            tuple(config.model.parameters for config in self.configs),
            images,
            mesh or make_mesh(len(self.configs)),
        )
        self.program = make_program(shape)

    def __repr__(self) -> str:
        allocation = "-".join(map(str, self.allocation))
        methods = ", ".join(dict.fromkeys(config.method.name for config in self.configs))
        return f"Population({len(self.configs)} runs of {methods}, {allocation} units, {self.config.data.name})"

    @functools.cached_property
    def _arguments(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Seeds [R], and the hyperparameters of all runs with a leading axis [R]."""
        rows = [hyperparameters(config, self.allocation) for config in self.configs]
        seeds = np.asarray([starts.seed_of(config) for config in self.configs], np.uint32)
        return seeds, jax.tree.map(lambda *leaves: np.stack(leaves), *rows)

    @functools.cached_property
    @runtime.pinned()
    def shapes(self) -> RunState:
        """The runs [R] as shapes with their shardings, to restore a checkpoint into; nothing is computed."""
        shapes: RunState = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self.program.by_run),
            jax.eval_shape(self.program.start, *self._arguments),
        )
        return shapes

    def init(self) -> RunState:
        """Returns the runs [R] at their start: with random parameters, or with those of `train.init_from`."""
        runs = self.program.init(*self._arguments)
        source = self.config.train.init_from
        return runs._replace(state=self._from_model(runs.state, Path(source).expanduser())) if source else runs

    def gather(self, rows: Sequence[RunState]) -> RunState:
        """Returns the runs [R] from the state of each run, numpy arrays from populations of the same allocation.

        Where the networks of those populations were wider or narrower, zeros are cut off or added.
        """

        def joined(shape: jax.ShapeDtypeStruct, *leaves: np.ndarray) -> np.ndarray:
            whole = np.zeros(shape.shape, shape.dtype)
            for slot, leaf in enumerate(leaves):
                inner = tuple(slice(min(sizes)) for sizes in zip(leaf.shape, shape.shape[1:], strict=True))
                whole[slot, ...][inner] = leaf[inner]
            return whole

        runs: RunState = hosts.place(jax.tree.map(joined, self.shapes, *rows), self.program.by_run)
        return runs

    @functools.cached_property
    @runtime.pinned()
    def terms(self) -> tuple[str, ...]:
        """The names of the terms of a step; nothing is computed."""
        shape = (self.config.train.batch, *self.images.shape)
        batch = jax.eval_shape(lambda: Batch(jnp.zeros(shape, np.uint8), jnp.zeros(shape[:1], np.int32)))
        state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), self.shapes.state)
        key = jax.eval_shape(lambda: jax.random.key(0, impl=runtime.KEYS))
        return tuple(jax.eval_shape(self.program.method.update, state, batch, key)[1])

    def _from_model(self, state: Any, folder: Path) -> Any:
        """Returns the state [R] with the parameters of the saved model of `folder` in every run.

        Raises UserError for a folder without a model that can be loaded, and for parameters of another structure.
        """
        trained = restored(*bundle.read(folder)).state
        if not isinstance(state, State) or not isinstance(trained, State):
            raise UserError(f"train.init_from: {self.config.method.name} keeps no parameters that could be taken over.")
        count = len(self.configs)
        params = jax.tree.map(lambda leaf: np.broadcast_to(np.asarray(leaf), (count, *leaf.shape)), trained.params)
        held, wanted = structure(flat(params)), structure(flat(state.params))
        if differing := {name for name, _ in held.items() ^ wanted.items()}:
            first = min(differing)
            shapes = f"{held.get(first, 'missing')} there and {wanted.get(first, 'missing')} in these {count} runs"
            remedy = "; `scaledis extract` copies a run without the padding of its population"
            raise UserError(
                f"train.init_from: the parameters of {folder} are of another network: {first} is {shapes}{remedy}."
            )
        return state._replace(params=hosts.place(params, self.program.by_run))

    def make_advance(self, dataset: Dataset) -> Advance:
        """Returns the steps of these runs on a data set, which stays on the devices as long as the returned object."""
        return self.program.make_advance(dataset)

    @runtime.pinned()
    def memory(self, dataset: Dataset) -> int:
        """Returns the bytes that a step and its data set need on each device, by XLA's analysis of the program.

        Returns 0 on a platform without this analysis.
        """
        found = self.make_advance(dataset).lower(self.shapes).compile().memory_analysis()
        if found is None:
            return 0
        held = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
        return int(held + found.temp_size_in_bytes + found.generated_code_size_in_bytes)

    def model(self, runs: RunState, slot: int, data: Mapping[str, Any] | None = None) -> Model:
        """Returns run `slot` as a Model. All models of a population share two compiled functions.

        `data` are the facts of its data set (sampling.facts), if they are known.
        """
        runtime.check_process("model")
        run, config = select(runs, slot), self.configs[slot]
        padding = Padding(self.allocation, max(each.model.parameters for each in self.configs))
        about = describe(config, int(run.step), int(run.diverged), self.images, padding, data or {})
        return make_model(config, run.state, about, (self.program.encode, self.program.decode))
