"""The beta-STCVAE."""

import math

import numpy as np
from jax import Array

from scaledis.core import UserError
from scaledis.methods.base.penalty import Weights, make_build
from scaledis.methods.base.spec import FLAT, Hyperparameter, MethodSpec, equation_of
from scaledis.objectives import partition
from scaledis.types import Config, Hyperparameters, Posterior


def between_blocks(hyperparameters: Hyperparameters, posterior: Posterior) -> Weights:
    """The beta-STCVAE (Chen et al. 2025, Disentangling Granularity), with blocks of b units, of granularity g = b / m.

        R = KL(q(z | x) || p(z)) - v sum_blocks TC(q(z_block)) + (beta - 1) KL(q(z) || prod_blocks q(z_block))

    By default `within = free`, v = 1, which is the formula of the paper, I(x; z) + beta TC_joint + sum_j KL(q(z_j) ||
    p(z_j)): dependence within a block is not penalized. `within = rewarded`, v = 1 + beta / 2, is what the published
    code trains. b = 1 is the beta-TCVAE.
    """
    beta = hyperparameters["beta"]
    return Weights(intra=-1.0 - hyperparameters["rewarded"] * beta / 2, inter=beta - 1.0)


def blocks_of(hyperparameters: Hyperparameters, levels: Array) -> Array:
    """Returns the parts [K, K]: the blocks of b units, over the units in use."""
    in_use = levels.sum(0)
    return partition.blocks(len(in_use), hyperparameters["block"]) * in_use


def block_sizes(units: int, largest: str) -> dict[float, int]:
    """Returns {granularity g = b / m: block size b} for every divisor b of the units up to m.

    With `whole`, m is the number of units. With `halves`, m is the largest divisor below it: the paper's chain of
    partitions ends in two blocks, and a single block of all units leaves beta nothing to weigh.
    """
    divisors = [size for size in range(1, units + 1) if units % size == 0]
    known = divisors if largest == "whole" or units == 1 else divisors[:-1]
    return {size / known[-1]: size for size in known}


def block_arrays(config: Config) -> dict[str, np.ndarray]:
    """Returns the block size, and whether dependence within a block is rewarded."""
    given, units = config.method.hyperparameters, config.model.allocation[0]
    size = int(given["block"])
    if size != given["block"] or (size > units and not given["granularity"]):
        raise UserError(f"method.block: {given['block']} must be a whole number from 1 to {units}, all the units.")
    if given["granularity"]:
        known = block_sizes(units, given["largest"])
        found = [block for g, block in known.items() if math.isclose(g, given["granularity"], rel_tol=0.02)]
        if not found:
            listed = ", ".join(f"{g:.3g} (blocks of {block})" for g, block in known.items())
            raise UserError(f"method.granularity: {given['granularity']} does not exist for {units} units; {listed}.")
        size = found[0]
    values = {"block": size, "rewarded": given["within"] == "rewarded"}
    return {name: np.asarray(value, np.float32) for name, value in values.items()}


# What the published code trains for 50 epochs of 3DShapes, but for `within`: it rewards dependence within blocks.
CODE = {"model.latents": 16, "method.beta": 10.0, "method.block": 2, "train.batch": 128, "train.steps": 187_500}
# The paper's experiment.
PAPER = {"model.latents": 8, "method.beta": 5.0, "train.batch": 64, "train.steps": 300_000}

METHODS = {
    "beta_stcvae": MethodSpec(
        make_build(between_blocks, parts_of=blocks_of),
        equation_of(between_blocks),
        about="independence between blocks of b units, none within: the beta-STCVAE (Chen et al. 2025).",
        hyperparameters={
            "beta": Hyperparameter(5.0, "weight of the dependence between blocks, including that in the KL"),
            "block": Hyperparameter(2, "b, units per block; the last block has the units that are left", lowest=1),
            "granularity": Hyperparameter(0.0, "g = b / m instead of b, for a b that divides the units; 0: take b"),
            "largest": Hyperparameter("halves", "m, the block of granularity 1", choices=("halves", "whole")),
            "within": Hyperparameter("free", "dependence within a block", choices=("free", "rewarded")),
        },
        arrays=block_arrays,
        widens=True,
        settings={"": {**FLAT, **CODE}, "dsprites": PAPER},
    ),
}
