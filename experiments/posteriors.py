"""What sets of units know of the factors, by their posteriors against the exact aggregate posterior of all images.

    I(z_S; v) = E[ log q(z_S | v) - log q(z_S) ],    q(z_S | v) = mean over the N_v images with v of q(z_S | x_n)

for z ~ q(z | x_n) of M images n drawn at random (Chen et al. 2018, Isolating Sources of Disentanglement, Appendix C).
A set S of several units counts as one joint variable. The estimate that has the image's own posterior in both sums is
too large, and goes to log(N / N_v) once posteriors no longer overlap, at about log N_v nats in S; the one that leaves
it out of both is too small. Where the two differ the information is not known.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

BOUNDS = ("upper", "lower")  # the own posterior in, and left out
ENCODED = 4096  # images at once


def encode_all(model, dataset):
    """Means and log variances [N, K] of every image of a data set."""
    means, log_variances = [], []
    for start in range(0, dataset.size, ENCODED):
        index = np.minimum(np.arange(start, start + ENCODED), dataset.size - 1)
        codes = model.encode(dataset.images(index))
        means.append(np.asarray(codes.mean)[: dataset.size - start])
        log_variances.append(np.asarray(codes.log_variance)[: dataset.size - start])
    return np.concatenate(means), np.concatenate(log_variances)


def information(mean, log_variance, sizes, subsets, draws=600, seed=0):
    """Nats that each set of units has of each factor and of the image, in two halves of the codes.

    Args:
      mean, log_variance: [N, K], of the images of a full grid of factors in mixed-radix order.
      sizes: values of each factor; their product is N.
      subsets: S sets of units.
      draws: M codes, of which each half is averaged apart.
      seed: draws the images and the codes.

    Returns:
      {"factors": {bound: [2, S, F]}, "image": {bound: [2, S]}} as nested lists.
    """
    assert len(mean) == np.prod(sizes)
    rng = np.random.default_rng(seed)
    index = rng.integers(len(mean), size=draws)
    noise = rng.standard_normal((draws, mean.shape[1])).astype(np.float32)
    codes = mean[index] + np.exp(log_variance[index] / 2) * noise
    membership = np.zeros((len(subsets), mean.shape[1]), np.float32)
    for row, subset in zip(membership, subsets, strict=True):
        row[list(subset)] = 1
    logs = _logs(tuple(sizes))(*map(jnp.asarray, (mean.T, log_variance.T, membership, codes, index)))
    own, every, given = (np.asarray(array, np.float64) for array in logs)  # [M, S], [M, S], [M, S, F]
    count, alike = len(mean), len(mean) / np.asarray(sizes)  # N and N_v
    of_all = {"upper": np.logaddexp(every, own) - np.log(count), "lower": every - np.log(count - 1)}
    of_value = {"upper": np.logaddexp(given, own[..., None]) - np.log(alike), "lower": given - np.log(alike - 1)}
    halves = {bound: (of_value[bound] - of_all[bound][..., None]).reshape(2, -1, *given.shape[1:]) for bound in BOUNDS}
    image = {bound: (own - of_all[bound]).reshape(2, -1, own.shape[1]) for bound in BOUNDS}
    return {
        "factors": {bound: halves[bound].mean(1).tolist() for bound in BOUNDS},
        "image": {bound: image[bound].mean(1).tolist() for bound in BOUNDS},
    }


@functools.cache
def _logs(sizes):
    """(mean [K, N], log_variance [K, N], membership [S, K], codes [M, K], index [M]) -> for each code and set

    the log density of the own posterior [M, S], the log of the sum of all others [M, S], and of those of the others
    that share the value of a factor [M, S, F].
    """

    images = tuple(range(1, len(sizes) + 1))

    @jax.jit
    def logs(mean, log_variance, membership, codes, index):
        precision = 0.5 * jnp.exp(-log_variance)  # once, not in every turn of the loop
        constant = 0.5 * (log_variance + jnp.log(2 * jnp.pi))

        def of_code(pair):
            code, number = pair
            units = -((code[:, None] - mean) ** 2) * precision - constant
            sets = jnp.matmul(membership, units, precision="highest")
            own = sets[:, number]
            grid = sets.at[:, number].set(-jnp.inf).reshape(-1, *sizes)
            given = [
                jax.nn.logsumexp(jax.lax.dynamic_index_in_dim(grid, value, axis), axis=images)
                for axis, value in zip(images, jnp.unravel_index(number, sizes), strict=True)
            ]
            every = jax.nn.logsumexp(grid, axis=images)
            return own, every, jnp.stack(given, axis=-1)

        return jax.lax.map(of_code, (codes, index))

    return logs


def gaps(table, sizes):
    """MIG of sets of units from nats [S, F]: for each factor the best set above the second, over H(v) = log |v|."""
    ordered = np.sort(np.asarray(table), axis=0)
    return (ordered[-1] - (ordered[-2] if len(ordered) > 1 else 0)) / np.log(sizes)


def mig_sup(table, sizes):
    """MIG-sup of sets from nats [S, F]: for each set its best factor above its second best, each over its H(v)."""
    ordered = np.sort(np.asarray(table) / np.log(sizes), axis=1)
    return ordered[:, -1] - ordered[:, -2]


def pairings(units):
    """Every way to put an even number of units into pairs: 105 of 8 units."""
    if not units:
        yield ()
        return
    first, *rest = units
    for other in rest:
        for pairs in pairings([unit for unit in rest if unit != other]):
            yield ((first, other), *pairs)


def best_pairing(halves, subsets, sizes, scored):
    """MIG of the pairs that are best on one half of the codes, on the other half; the mean over both directions.

    Args:
      halves: nats [2, S, F] of `subsets`, among which every pair of units is.
      scored: the factors that count, as column numbers.
    """
    row = {subset: number for number, subset in enumerate(subsets)}
    units = sorted({unit for subset in row for unit in subset})
    ways = [[row[pair] for pair in way] for way in pairings(units)]
    tables, sizes = np.asarray(halves)[..., scored], np.asarray(sizes)[list(scored)]
    scores = np.array([[gaps(table[way], sizes).mean() for way in ways] for table in tables])  # [2, ways]
    return float(np.mean([scores[1, scores[0].argmax()], scores[0, scores[1].argmax()]]))


def pairs_of(units):
    """All pairs of so many units."""
    return list(itertools.combinations(range(units), 2))
