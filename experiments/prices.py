"""What a nat costs: dR per nat of true information, under the estimator that a run was trained with.

    R = KL(q(z | x) || p(z)) - sum_blocks TC(q(z_block)) + (beta - 1) KL(q(z) || prod_blocks q(z_block))

of the beta-STCVAE with dependence within a block free. An estimator that sees n posteriors sees at most log n nats of
any group of units. So what a block of b units holds beyond that counts as dependence within it, which is free, while
for single units it counts as dependence between them, which costs beta - 1. Plain numpy, float64.
"""

import numpy as np
from scipy.special import logsumexp

STEP = 0.05  # nats by which a unit's information is moved up and down
ACTIVE = 0.1  # nats of a unit that counts
AT_ONCE, DRAWS = 64, 24  # codes of one draw


def log_densities(codes, mean, log_variance):
    """log q(z_ik | x_j) of codes [B, K] under posteriors [M, K]: [B, M, K]."""
    square = (codes[:, None] - mean) ** 2 * np.exp(-log_variance)
    return -0.5 * (square + log_variance + np.log(2 * np.pi))


def regularization(codes, own, mean, log_variance, block, beta):
    """R in nats and the information I(x; z) that the estimator sees: means over codes [B, K].

    Args:
      own: int [B], the number of each code's posterior among the M known ones.
      mean, log_variance: [M, K], the posteriors known, which weigh 1 / M each.
    """
    units = codes.shape[1]
    logs = log_densities(codes, mean, log_variance)
    blocks = np.stack([logs[..., start : start + block].sum(-1) for start in range(0, units, block)], axis=-1)
    of_all, of_blocks, of_units = (
        logsumexp(each, axis=1) - np.log(len(mean)) for each in (logs.sum(-1, keepdims=True), blocks, logs)
    )
    kl = 0.5 * (mean[own] ** 2 + np.exp(log_variance[own]) - 1 - log_variance[own]).sum(1)
    within, between = of_blocks.sum(1) - of_units.sum(1), of_all[:, 0] - of_blocks.sum(1)
    conditional = logs[np.arange(len(codes)), own].sum(1)
    return (kl - within + (beta - 1) * between).mean(), (conditional - of_all[:, 0]).mean()


def price(nats, block, beta, seen, draws=DRAWS, seed=0):
    """dR per nat of true information of independent units that hold `nats` [K], if n = `seen` posteriors are seen.

    Unit k has the aggregate posterior N(0, 1) and posteriors of deviation s_k = exp(-nats_k), so that its information
    is nats_k and its KL the same. All units of more than ACTIVE nats are moved by STEP at once. 1 is the KL alone, 0 is
    free; None if no unit is active.
    """
    nats, rng = np.asarray(nats, float), np.random.default_rng(seed)
    moved = STEP * (nats > ACTIVE)
    if not moved.any():
        return None
    found, codes_of_draw = [], min(AT_ONCE, seen)
    for _ in range(draws):
        at, noise = rng.standard_normal((2, seen, len(nats)))
        noise, own, ends = noise[:codes_of_draw], np.arange(codes_of_draw), []
        for sign in (1, -1):
            deviation = np.exp(-(nats + sign * moved))
            mean = np.sqrt(1 - np.minimum(deviation, 1) ** 2) * at
            codes, log_variance = mean[own] + deviation * noise, np.broadcast_to(2 * np.log(deviation), mean.shape)
            ends.append(regularization(codes, own, mean, log_variance, block, beta)[0])
        found.append((ends[0] - ends[1]) / (2 * moved.sum()))
    return float(np.mean(found))


def exact_price(mean, log_variance, block, beta, draws=8, seed=0):
    """dR per nat of I(x; z), both by the exact aggregate posterior of all N images; means and log variances are [N, K].

    The variances of all active units are moved, the means stay. None where no unit is active, or where the information
    does not move, since it is log N already.
    """
    mean, log_variance = (np.asarray(each, float) for each in (mean, log_variance))
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).mean(0)
    moved, rng = STEP * (kl > ACTIVE), np.random.default_rng(seed)
    own, ends = np.arange(len(mean)), np.zeros((2, 2))
    for _ in range(draws):
        noise = rng.standard_normal(mean.shape)
        for row, sign in zip(ends, (1, -1), strict=True):
            narrower = log_variance - 2 * sign * moved
            for chunk in np.array_split(own, max(1, len(own) // AT_ONCE)):
                codes = mean[chunk] + np.exp(narrower[chunk] / 2) * noise[chunk]
                row += np.array(regularization(codes, chunk, mean, narrower, block, beta)) * len(chunk) / len(own)
    dearer, more = (ends[0] - ends[1]) / draws
    return float(dearer / more) if more > 1e-3 * moved.sum() and moved.any() else None
