"""Runs as one compiled program: `jit(vmap(update))` over R runs, the axis of runs sharded over all devices.

A run alone is a population of one. Everything random in a run flows from its key and its step, so data order, resume
and seeds do not depend on which runs train beside it.
"""

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from scaledis import methods
from scaledis.config import Config
from scaledis.core import convert, runtime
from scaledis.core.chunks import chunked, joined
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.sweeps import plan
from scaledis.training.program import Shape, make_mesh, make_program
from scaledis.training.steps import Advance
from scaledis.types import Codes, ImageSpec, Model, RunState


def active(config: Config, allocation: Sequence[int]) -> np.ndarray:
    """Returns which units of the padded `allocation` a run has, bool [K]."""
    own = config.model.allocation
    return np.concatenate([np.arange(size) < units for size, units in zip(allocation, own, strict=True)])


def hyperparameters(config: Config, allocation: Sequence[int]) -> dict[str, np.ndarray]:
    """Returns the arrays that a run carries, including those of its method."""
    carried = {
        "active": active(config, allocation),
        "sigma": config.objective.sigma,
        "kl_warmup": config.objective.kl_warmup,
        "learning_rate": config.train.learning_rate,
    }
    own = methods.arrays(config)
    return own | {name: np.asarray(value, np.float32) for name, value in carried.items()}


@jax.jit  # one small program instead of two for each shape of a leaf
def select(runs: RunState, slot: int) -> RunState:
    """Returns run `slot` of a population."""
    run: RunState = jax.tree.map(lambda leaf: leaf[slot], runs)
    return run


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
            raise UserError(
                f"allocation: {list(self.allocation)} of the plan does not hold the runs' own, {list(own)}."
            )
        shape = Shape(
            methods.makers(self.config),
            plan.shared(self.config),
            self.allocation,
            tuple(config.model.parameters for config in self.configs),
            images,
            mesh or make_mesh(len(self.configs)),
        )
        self.program = make_program(shape)

    @functools.cached_property
    def _arguments(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Seeds [R], and the hyperparameters of all runs with a leading axis [R]."""
        rows = [hyperparameters(config, self.allocation) for config in self.configs]
        seeds = np.asarray([config.seed for config in self.configs], np.uint32)
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
        """Returns the runs [R] at their start."""
        return self.program.init(*self._arguments)

    def make_advance(self, dataset: Dataset) -> Advance:
        """Returns the steps of these runs on a data set, which stays on the devices as long as they do."""
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

    def model(self, runs: RunState, slot: int) -> Model:
        """Returns run `slot` as a Model. All models of a population share two compiled functions."""
        runtime.check_process("model")
        run, config = select(runs, slot), self.configs[slot]
        units = np.flatnonzero(active(config, self.allocation))
        encode_padded, decode_padded = self.program.encode, self.program.decode

        def encode(images: object) -> Codes:
            runtime.check_process("encode")
            images = convert.numbers("images", images)
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.images.shape:
                expected = "uint8 [B, " + ", ".join(map(str, self.images.shape)) + "]"
                raise UserError(f"images: {images.dtype} {list(images.shape)}; this model encodes {expected}.")
            parts = [jax.device_get(encode_padded(run.state, chunk)) for chunk in chunked(images)]
            mean, log_variance = (joined([part[place] for part in parts], len(images))[:, units] for place in (0, 1))
            return Codes(mean, log_variance, np.asarray(parts[0].levels)[units])

        def decode(codes: object) -> np.ndarray:
            runtime.check_process("decode")
            codes = convert.numbers("codes", codes).astype(np.float32)
            if codes.ndim != 2 or codes.shape[1] != len(units):
                raise UserError(f"codes: {list(codes.shape)}; this model decodes [B, {len(units)}].")
            whole = np.zeros((len(codes), sum(self.allocation)), np.float32)
            whole[:, units] = codes
            return joined((np.asarray(decode_padded(run.state, chunk)) for chunk in chunked(whole)), len(codes))

        return Model(config, int(run.step), run.state, encode, decode)
