"""Which units hold two factors: what keeps a code from a DCI-D of 1, read off the information of its units.

python -m experiments.mixtures      # the model that comes with the package
"""

import numpy as np

import scaledis
from scaledis.core import runtime
from scaledis.datasets.base import sampling
from scaledis.metrics.shared.information import Information

SECOND, LEAST = 0.25, 0.05  # of the unit's best share; of a factor's entropy
IMAGES = 6000


def main():
    runtime.prepare_jax()
    model = scaledis.load_model()
    dataset = sampling.load_dataset(model.config.data)
    images, factors = dataset.sample(IMAGES)
    codes = model.encode(images)
    print(in_words(mixed(codes.mean, factors, dataset.factor_names), codes.levels))


def shares(codes, factors):
    """What each unit tells of each factor, [K, F]: mutual information over the factor's entropy, as MIG has it."""
    return Information(np.asarray(codes), np.asarray(factors)).table().shares


def mixed(codes, factors, names):
    """The units that hold two factors or more: {unit: {factor: share}}, the best factor first.

    A unit holds the factor that it tells most of, if that is LEAST of its entropy, and every other of which it tells at
    least SECOND as large a share and LEAST.
    """
    found = {}
    for unit, row in enumerate(shares(codes, factors)):
        held = {factor: row[factor] for factor in np.argsort(-row) if row[factor] >= max(LEAST, SECOND * row.max())}
        if len(held) > 1:
            found[unit] = {names[factor]: round(float(share), 3) for factor, share in held.items()}
    return found


def pairs_of(found):
    """How many units hold each pair of factors, by the two best of each: {"scale and shape": 3}."""
    counts = {}
    for held in found.values():
        pair = " and ".join(sorted(list(held)[:2]))
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def in_words(found, levels):
    """ "unit 3 of level 3: scale .16, shape .15; ..." of the levels [K]; level 1 is the lowest, as in all scores."""
    return "; ".join(
        f"unit {unit} of level {max(levels) + 1 - levels[int(unit)]}: "
        + ", ".join(f"{name} {share:.2f}".replace("0.", ".") for name, share in held.items())
        for unit, held in found.items()
    )


if __name__ == "__main__":
    main()
