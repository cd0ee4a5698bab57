"""Metrics of a population of runs on the same images: those of tables under one program, all others side by side.

Counts are matrix products of one-hot bins [N, K B] with one-hot classes [N, V]; they are exact in float32 below 2^24
rows. What follows, on tables of a few entries, are the numpy functions of `scaledis.metrics`: each score has one
definition.
Letters: R runs, N images, K units, F factors, B bins, V values of all factors together.
"""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import entr
from tqdm import tqdm

from scaledis import convert, metrics, registry
from scaledis.errors import UserError
from scaledis.metrics import dcimig, jemmig, level, mig, mig_sup, modularity, sap
from scaledis.metrics.shared.information import BINS, Table, binned, distinct, emptied, entropy, make_table
from scaledis.metrics.shared.rows import standardized
from scaledis.metrics.shared.sample import Sample, make_sample
from scaledis.objectives import aggregate_posterior

AT_ONCE = 8  # runs whose one-hot bins are in memory
BAR_AFTER = 5  # seconds
SINGULAR = 1e-6  # of the correlations in float32


class Summary(NamedTuple):
    """What all closed forms of one run need.

    table: of bins.
    correlations: [K, F], absolute, of units with class numbers.
    between: [K', K'], correlations of the units that vary with each other.
    varies: bool [K].
    levels: int [K].
    """

    table: Table
    correlations: np.ndarray
    between: np.ndarray
    varies: np.ndarray
    levels: np.ndarray


def _gaussian_tc(run: Summary) -> dict[str, Any]:
    values = np.linalg.eigvalsh(run.between)
    infinite = (values < SINGULAR).any()
    return {"gaussian_tc": None if infinite else max(0.0, -0.5 * float(np.log(values).sum()))}


CLOSED_FORMS: Mapping[str, Callable[[Summary], dict[str, Any]]] = {
    "mig": lambda run: mig.of_table(run.table),
    "mig_sup": lambda run: mig_sup.of_table(run.table, run.varies),
    "dcimig": lambda run: dcimig.of_table(run.table),
    "jemmig": lambda run: jemmig.of_table(run.table, BINS),
    "modularity": lambda run: modularity.of_table(run.table, run.table.informative),
    "sap": lambda run: sap.of_correlations(run.correlations),
    "dependence": _gaussian_tc,
    "level": lambda run: level.of_table(run.table, run.levels),
}


def closed_forms(
    names: Sequence[str], codes: np.ndarray, factors: np.ndarray, levels: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """The scores of R runs that need no fit, as `metrics.compute` gives them, to 1e-5.

    Args:
        names: among `CLOSED_FORMS`; of modularity, SAP and dependence the part without a fit, sampling or pairs. The
            modularity of codes that know nothing is a number here, and there are no chance levels.
        codes: float [R, N, K].
        factors: int [N, F], of the same images for all runs.
        levels: int [K], the level of each unit.

    Returns:
        For each run one flat dictionary; arrays stay arrays, without the factors that have one value.

    Raises:
        UserError: an unknown name, codes without three axes, and what `metrics.compute` raises of arrays.
    """
    for name in names:
        registry.check("closed form", name, CLOSED_FORMS)
    codes = convert.numbers("codes", codes)
    if codes.ndim != 3 or not len(codes):
        raise UserError(f"codes: shape {codes.shape}; [runs, images, units] is needed")
    samples = [make_sample(run, factors, levels) for run in codes]
    return [
        {f"{name}/{key}": value for name in names for key, value in CLOSED_FORMS[name](run).items()}
        for run in _summaries(samples)
    ]


def compute(
    names: Sequence[str],
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    processes: int | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """`metrics.compute` of R runs, side by side in processes of their own; a bar shows past five seconds.

    Args:
        names, factors, seed, options, settings: as in `metrics.compute`.
        codes: float [R, N, K].
        processes: how many; None: one for each core.

    Raises:
        UserError: what `metrics.compute` raises.
    """
    workers = min(processes or os.cpu_count() or 1, len(codes))
    context = multiprocessing.get_context("spawn")  # JAX's threads do not survive a fork
    with ProcessPoolExecutor(workers, context) as pool:
        runs = [pool.submit(metrics.compute, names, run, factors, seed, options, **settings) for run in codes]
        return [run.result() for run in tqdm(runs, "runs", delay=BAR_AFTER, leave=False)]


def total_correlations(codes: Array, mean: Array, log_variance: Array, levels: np.ndarray) -> tuple[Array, Array]:
    """Exact total correlations of the aggregate posterior of R runs, in nats, at given codes of it.

        TC(z_l) = log q(z_l) - sum_{k in l} log q(z_k),   TC(levels) = log q(z) - sum_l log q(z_l)

    Args:
        codes: [R, S, K], samples of the aggregate posterior.
        mean, log_variance: [R, N, K], all its posteriors.
        levels: int [K], the level of each unit.

    Returns:
        Within each level, [R, L], and between the levels, [R]: means over the S codes.
    """
    by_level = (levels == np.unique(levels)[:, None]).astype(np.float32)
    units = levels.size
    membership = jnp.concatenate([jnp.ones((1, units)), by_level, jnp.eye(units)])
    weights = jnp.asarray(aggregate_posterior.exact(mean.shape[1]))

    @jax.jit
    def every_run(codes, mean, log_variance):
        def one(run):
            codes, mean, log_variance = run
            table = aggregate_posterior.log_density(codes, mean, log_variance, weights, membership)
            of_levels, of_units = table[:, 1 : len(by_level) + 1], table[:, len(by_level) + 1 :]
            within = of_levels - jnp.matmul(of_units, by_level.T, precision="highest")
            return within.mean(axis=0), (table[:, 0] - of_levels.sum(axis=1)).mean()

        return jax.lax.map(one, (codes, mean, log_variance))

    return every_run(codes, mean, log_variance)


def _summaries(samples: Sequence[Sample]) -> list[Summary]:
    """Counts and correlations of all runs of the same images in one program; from them the summary of each."""
    factors = samples[0].factors
    assert factors is not None
    cells = np.stack([binned(sample.codes, BINS) for sample in samples])
    scaled = np.stack([standardized(sample.codes) for sample in samples]).astype(np.float32)
    ordered = standardized(factors.astype(float)).astype(np.float32)
    sizes, classes = distinct(factors), [np.unique(factor, return_inverse=True)[1] for factor in factors.T]
    one_hot = np.concatenate([np.eye(size)[of] for size, of in zip(sizes, classes, strict=True)], axis=1)
    starts = np.cumsum(sizes)[:-1]
    counts, of_factors, of_units = map(np.asarray, _statistics(cells, scaled, one_hot.astype(np.float32), ordered))
    return [
        _summary(sample, factors, cells[run], np.split(counts[run], starts, axis=2), of_factors[run], of_units[run])
        for run, sample in enumerate(samples)
    ]


@jax.jit
def _statistics(cells: Array, scaled: Array, one_hot: Array, ordered: Array) -> tuple[Array, Array, Array]:
    """Counts [R, K, B, V], and correlations of units with factors [R, K, F] and with each other [R, K, K].

    Args:
        cells: int [R, N, K], the bin of every code.
        scaled: [R, N, K], standardized codes.
        one_hot: [N, V], the classes of all factors.
        ordered: [N, F], standardized class numbers.
    """
    rows, units = len(one_hot), cells.shape[2]

    def product(first, second):
        return jnp.matmul(first.T, second, precision="highest")

    def one(run):
        cells, scaled = run
        bins = jax.nn.one_hot(cells, BINS, dtype=jnp.float32).reshape(rows, -1)
        counts = product(bins, one_hot).reshape(units, BINS, -1)
        return counts, product(scaled, ordered) / rows, product(scaled, scaled) / rows

    return jax.lax.map(one, (cells, scaled), batch_size=AT_ONCE)


def _summary(
    sample: Sample,
    factors: np.ndarray,
    cells: np.ndarray,
    counts: Sequence[np.ndarray],
    of_factors: np.ndarray,
    of_units: np.ndarray,
) -> Summary:
    """The summary of one run, from the counts [K, B, V_k] with each of its factors; in float64 from here on."""
    varies, rows = np.ptp(sample.codes, axis=0) > 0, len(factors)
    table = make_table(
        entr(counts[0].sum(axis=2, dtype=float) / rows).sum(axis=1),
        entropy(factors),
        np.stack([entr(joint.astype(float) / rows).sum(axis=(1, 2)) for joint in counts], axis=1),
        distinct(cells),
        distinct(factors),
        rows,
        emptied(sample.codes, cells, BINS),
    )
    one_level = np.zeros(len(varies), int)
    return Summary(
        table,
        np.minimum(np.abs(of_factors.astype(float)), 1),
        of_units.astype(float)[np.ix_(varies, varies)],
        varies,
        one_level if sample.levels is None else sample.levels,
    )
