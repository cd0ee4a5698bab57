"""The dependence within and between levels, forward and gradient, against a straightforward PyTorch version, on a CPU.

    pip install -e .[bench]
    python -m experiments.benchmarks.estimator_speed

Ten units on four levels, batches of 64, 512 and 4,096 codes, each against the posteriors of its own batch; float32, all
cores; medians of five rounds in alternation. The PyTorch version writes the equation down: densities [B, B, K], their
sums over the units of a group, a logsumexp. That both give the same value and gradient is checked first. Memory is what
ours holds beside its arguments and results, by XLA's analysis. Writes experiments/results/estimator_speed.json.
"""

import os
import statistics

import jax
import numpy as np

from experiments.benchmarks.pytorch import ROUNDS, STEPS, measure, start
from experiments.tables import RESULTS
from scaledis.core.files import write_json
from scaledis.core.runtime import cores, machine, prepare_jax
from scaledis.core.version import commit
from scaledis.objectives import aggregate_posterior, partition

ALLOCATION, BATCHES = (4, 2, 2, 2), (64, 512, 4096)


def example(batch):
    """Codes, means and log variances [B, K] of posteriors with a deviation of about a third."""
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((batch, sum(ALLOCATION)))
    log_variance = -2 + 0.3 * rng.standard_normal(mean.shape)
    codes = mean + np.exp(log_variance / 2) * rng.standard_normal(mean.shape)
    return [array.astype(np.float32) for array in (codes, mean, log_variance)]


def penalty():
    """Which units are in which group [G, K], and the weight of each group's log density [G]."""
    parts = partition.levels(ALLOCATION)
    rows = partition.contrasts(parts)
    return np.asarray(partition.membership(parts)), np.asarray(rows.intra.sum(0) + rows.inter)


def ours(batch):
    """(codes, mean, log_variance) -> (nats, their gradients), not yet compiled."""
    groups, row = penalty()
    weights = aggregate_posterior.minibatch_weighted(batch, batch)

    def nats(arrays):
        return partition.combine(aggregate_posterior.log_density(*arrays, weights, groups), row).mean()

    return jax.jit(jax.value_and_grad(nats))


def in_torch(batch):
    """The same in PyTorch."""
    import torch

    torch.set_num_threads(cores())
    groups, row = map(torch.tensor, penalty())

    def compute(arrays):
        codes, mean, log_variance = given = [torch.tensor(array, requires_grad=True) for array in arrays]
        squares = (codes[:, None] - mean) ** 2 * torch.exp(-log_variance)
        log_q = -0.5 * (np.log(2 * np.pi) + log_variance + squares)
        log_density = torch.logsumexp(log_q @ groups.T, 1) - 2 * np.log(batch)
        nats = (log_density @ row).mean()
        nats.backward()
        return nats.detach().numpy(), [array.grad.numpy() for array in given]

    return compute


VERSIONS = {"ours": ours, "PyTorch": in_torch}


def timed(name, batch):
    """() -> None, which computes `times(batch)` times."""
    prepare_jax()
    compute, arrays = VERSIONS[name](batch), example(batch)

    def advance():
        for _ in range(times(batch)):
            jax.block_until_ready(compute(arrays))

    return advance


def times(batch):
    """How often a round computes: a large batch, for which PyTorch takes seconds, once."""
    return STEPS if batch <= 512 else 1


def check(batch):
    """Raises AssertionError where the two differ."""
    (value, gradients), (other, others) = (version(batch)(example(batch)) for version in VERSIONS.values())
    np.testing.assert_allclose(value, other, rtol=1e-4)
    for one, two in zip(gradients, others, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-6)


def main():
    load, found = os.getloadavg()[0], {}
    for batch in BATCHES:
        check(min(batch, 512))
        teams = {name: start(timed, name, batch) for name in VERSIONS}
        rounds = {name: [] for name in VERSIONS}
        for _ in range(ROUNDS):
            for name, pipe in teams.items():
                rounds[name].append(measure([pipe]) * STEPS / times(batch))
        for pipe in teams.values():
            pipe.send(False)
        one, other = (statistics.median(rounds[name]) for name in VERSIONS)
        memory = ours(batch).lower(example(batch)).compile().memory_analysis().temp_size_in_bytes / 1e6
        found[str(batch)] = {"milliseconds": rounds, "ratio": one / other, "temporary_megabytes": memory}
        print(f"B = {batch}: {one:.1f} ms, PyTorch {other:.1f} ms, ratio {one / other:.2f}; {memory:.1f} MB")
    facts = {"machine": machine(), "commit": commit(), "load_before": load}
    write_json(RESULTS / "estimator_speed.json", {**facts, "batches": found})


if __name__ == "__main__":
    main()
