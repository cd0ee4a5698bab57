"""Scores of codes against known factors: plain numpy in, floats out, so codes may come from any framework.

A metric is a module here with `compute(codes [N, K], factors [N, F], seed, **options) -> {score: value}`, named by its
file.
"""

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaledis import registry
from scaledis.errors import UserError


def names() -> list[str]:
    """Names of all metrics."""
    return registry.modules(sys.modules[__name__])


def compute(
    names: Sequence[str],
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, float | list | str]:
    """Scores of several metrics as one flat dictionary: `{"dci/disentanglement": .., "mig/mig": .., ..}`.

    Args:
        names: metrics to compute.
        codes: float [N, K], one row per image (usually posterior means).
        factors: int [N, F], the class of each factor of the same images.
        seed: fixes every number that a metric draws.
        options: keyword arguments per metric, such as `{"dci": {"backend": "sklearn"}}`.

    Raises:
        UserError: an unknown metric or option, or codes and factors that `checked` refuses.
    """
    options = options or {}
    package = sys.modules[__name__]
    metrics = {name: registry.module("metrics", package, name) for name in {*names, *options}}
    for name, given in options.items():
        known = list(inspect.signature(metrics[name].compute).parameters)[3:]
        for key in given:
            registry.check(f"option of metric {name!r}", key, known)
    return {
        f"{name}/{score}": value
        for name in names
        for score, value in metrics[name].compute(codes, factors, seed, **options.get(name, {})).items()
    }


def checked(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`codes` as float64 [N, K] and `factors` as integers [N, F].

    Raises:
        UserError: an array without two axes or without entries, different numbers of rows, codes that are not finite,
            factors that are not integers.
    """
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors)
    for key, array in {"codes": codes, "factors": factors}.items():
        if array.ndim != 2 or 0 in array.shape:
            raise UserError(f"{key}: shape {array.shape}; two axes, neither empty, are needed")
    if len(codes) != len(factors):
        raise UserError(f"codes, factors: {len(codes)} and {len(factors)} rows; one row of each per image is needed")
    if not np.isfinite(codes).all():
        raise UserError(f"codes: {np.sum(~np.isfinite(codes))} of {codes.size} entries are NaN or infinite")
    if not np.issubdtype(factors.dtype, np.integer):
        raise UserError(f"factors: dtype {factors.dtype}; class numbers (integers) are needed")
    return codes, factors
