"""Codes with known answers, on the full grid of factors of sizes (4, 5, 3), repeated 50 times.

There I(v_k; v_l) = 0 exactly, so what has no fit is exact. MIG does not see two factors in one unit (`merged`), MIG-sup
does not see copies (`twice`), DCIMIG sees neither copy.
"""

import math
from typing import Any, NamedTuple

import numpy as np

SIZES, REPEATS = (4, 5, 3), 50


class Crafted(NamedTuple):
    """Codes with their factors, and the scores by key that they must have."""

    codes: np.ndarray
    factors: np.ndarray
    scores: dict[str, float | None]


def grid(*sizes: int, repeats: int = REPEATS) -> np.ndarray:
    """Every combination of factors, `repeats` times, int [N, F]."""
    return np.tile(np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1), (repeats, 1))


def expected(
    mig: float,
    mig_sup: float,
    modularity: float | None,
    dcimig: float,
    disentanglement: float | None,
    completeness: float | None,
    info_modularity: Any = ...,
    info_compactness: Any = ...,
    factor_vae: float | None = None,
    mcc: float | None = None,
) -> dict[str, float | None]:
    """A row of the table, in its order of columns; None in a column that allows it is an empty cell."""
    row = {
        "mig/mig": mig,
        "mig_sup/mig_sup": mig_sup,
        "modularity/modularity": modularity,
        "dcimig/dcimig": dcimig,
        "dci/disentanglement": disentanglement,
        "dci/completeness": completeness,
        "factor_vae_score/accuracy": factor_vae,
        "mcc/pearson": mcc,
    }
    information = {"infomec/modularity": info_modularity, "infomec/compactness": info_compactness}
    return {key: value for key, value in row.items() if value is not None} | {
        key: value for key, value in information.items() if value is not ...
    }


def _codes() -> dict[str, Crafted]:
    v = grid(*SIZES)
    two = grid(10, 10, repeats=30)
    angle = grid(4, repeats=750)
    constants = np.full((len(v), 2), 0.3)
    perfect = expected(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    merged_modularity = 1 - (math.log(4) / math.log(5)) ** 2 / 4
    merged_mcc = (math.sqrt(31.25 / 33.25) + 1) / 3
    shared = 1 - 2 / 3 * math.log(2) / math.log(3)
    lead = (math.log(5) - math.log(4) + math.log(3)) / math.log(60)
    copies = 1 - math.log(2) / math.log(6)
    return {
        "perfect": Crafted(v, v, perfect),
        "turned": Crafted(-3 * v[:, [2, 0, 1]] + 5, v, perfect),
        "twice": Crafted(np.concatenate([v, v], axis=1), v, expected(0, 1, 1, 1, 1, copies, 1, 0.4, 1, 1)),
        "merged": Crafted(
            np.stack([5 * v[:, 0] + v[:, 1], v[:, 2]], axis=1),
            v,
            expected(1, 0.5, merged_modularity, lead, shared, 1, 0.625, 1, None, merged_mcc),
        ),
        "rotated": Crafted(
            two @ np.array([[1, 1], [1, -1]]), two, expected(0, 0, 0, 0, 0, 0, 0, 0, None, math.sqrt(0.5))
        ),
        "circle": Crafted(
            np.concatenate([np.sin(np.pi / 2 * angle), np.cos(np.pi / 2 * angle)], axis=1).round(6),
            angle,
            expected(0, 0.75, 1, 0.75, 1, 0, None, 0, None, math.sqrt(0.4)),
        ),
        "constants beside": Crafted(np.concatenate([v, constants], axis=1), v, perfect),
        "constants": Crafted(constants, v, expected(0, 0, 0, 0, 0, 0, None, None, 0, 0)),
        "lone": Crafted(v[:, :1], v, expected(1 / 3, 1, 1, math.log(4) / math.log(60), 0, 1, 1, None, 1 / 3, 1 / 3)),
    }


CODES = {name: crafted._replace(codes=crafted.codes.astype(float)) for name, crafted in _codes().items()}


def noise(rows: int = 15_000) -> Crafted:
    """Codes that know nothing."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(size, size=rows) for size in SIZES], axis=1)
    return Crafted(rng.standard_normal((rows, 5)), factors, {})


def outlier() -> Crafted:
    """The perfect code, but for one row of 1e6 in every unit."""
    codes = CODES["perfect"].codes.copy()
    codes[7] = 1e6
    return Crafted(codes, CODES["perfect"].factors, {"mig/mig": 0.0})
