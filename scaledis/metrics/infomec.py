"""InfoMEC: modularity, explicitness and compactness from information (Hsu et al. 2023)."""

from typing import Any

import numpy as np
from scipy.special import logsumexp

from scaledis.metrics.shared import linear
from scaledis.metrics.shared.arguments import check_count
from scaledis.metrics.shared.information import Information, entropy, share
from scaledis.metrics.shared.rows import TRAIN_FRACTION, FittedScores, checked, rare_classes, split_at, standardized

SCORES = ("modularity", "explicitness", "compactness")
FITS = True
RATIOS = ("modularity", "compactness")
NEIGHBOURS = 10
DISCRETE = 20  # values
DIGITS = 9
LIBRARY_ACTIVE = 1 / 20


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    active: float | None = None,
    neighbours: int = NEIGHBOURS,
    train_fraction: float = TRAIN_FRACTION,
    protocol: str = "scaledis",
) -> dict[str, Any]:
    """InfoM: does each unit know of one factor alone? InfoC: does one unit alone know of each factor? InfoE: linearly?

        NMI_jk = I(z_j; v_k) / H(v_k)
        InfoM = mean_j (max_k NMI_jk / sum_k NMI_jk - 1/F) / (1 - 1/F)      over active units
        InfoC = mean_k (max_j NMI_jk / sum_j NMI_jk - 1/A) / (1 - 1/A)      over factors, with A active units
        InfoE = mean_k 1 - H(v_k | linear classifier) / H(v_k)

    A unit of at most 20 values is discrete and gets plug-in information, any other the k-nearest-neighbour estimate of
    scikit-learn, with its jitter drawn by the seed.

    Protocols: by default, and under `paper`, every unit with variance is active, and the classifier of standardized
    codes is scored on test rows. Public code prunes units by their range, below 1/20 of the largest (`library`), 1/8,
    or a tenth of the largest inter-quartile range: all depend on scale, and a perfect code with one unit x 100 has
    compactness None under `library`. That also trains balanced and scores, unbalanced, on the training rows.

    A unit without information is left out of InfoM, a factor without any is 0 in InfoC. The nearest-neighbor estimate
    of noise is not 0 but at random up to 0.01 of a factor's entropy (3,000 rows; 0.004 of it with 15,000), and InfoM
    and InfoC see only its proportions: 10 units of noise and 6 factors have InfoM 0.45 to 0.60 and InfoC 0.27 to 0.41,
    with more rows no less. `metrics.compute` returns None for both, under every protocol, where no unit knows more of
    any factor than by chance; where one does, read the two beside InfoE and their chance levels.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: of the jitter.
        active: the share of the largest range that a unit must exceed; None: 0, or 1/20 under `library`.
        neighbours: of the estimate.
        train_fraction: share of the rows that train the classifiers.
        protocol: see above.

    Returns:
        `modularity` (None for one factor, or without an active unit), `explicitness`, `compactness` (None with fewer
        than two active units), both None for codes that know nothing; all in [0, 1]; `active_units`, a list;
        `information` [active units, F] as NMI; `explicitness_per_factor` [F]; `warnings`.

    Raises:
        UserError: codes or factors that `checked` refuses, rows that `split_at` refuses, no neighbours.
    """
    codes, factors = checked(codes, factors)
    check_count("neighbours", neighbours, least=1)
    split = split_at(factors, train_fraction)
    least = active if active is not None else LIBRARY_ACTIVE if protocol == "library" else 0
    ranges = np.ptp(codes, axis=0)
    units = np.flatnonzero((ranges > 0) & (ranges > least * ranges.max()))
    nmi = share(nearest_information(codes[:, units], factors, neighbours, seed), entropy(factors))
    losses = np.stack([_losses(codes, factor, split, balanced=protocol == "library") for factor in factors.T], axis=2)
    scored = losses[:, :split] if protocol == "library" else losses[:, split:]

    def explicitness(rows: np.ndarray) -> dict[str, Any]:
        left, whole = scored[:, rows].mean(axis=1)
        scores = np.where(whole > 0, 1 - share(left, whole), 0)
        return {"explicitness": float(scores.mean()), "explicitness_per_factor": scores}

    modularity, compactness = _shares_of_best(nmi), _shares_of_best(nmi.T)
    several = {"modularity": factors.shape[1] > 1 and len(units) > 0, "compactness": len(units) > 1}
    return FittedScores(
        explicitness,
        scored.shape[1],
        {
            "modularity": float(modularity[nmi.any(axis=1)].mean()) if several["modularity"] and nmi.any() else None,
            "compactness": float(compactness.mean()) if several["compactness"] else None,
            "active_units": units.tolist(),
            "information": nmi,
            "warnings": rare_classes(factors, split)
            + [f"{name}: it needs two to choose from" for name, there in several.items() if not there],
        },
    )


def nearest_information(codes: np.ndarray, factors: np.ndarray, neighbours: int, seed: int) -> np.ndarray:
    """Information of every unit with every factor, [K, F] in nats: plug-in for discrete units, else from neighbours."""
    return np.array([_unit_information(unit, factors, neighbours, seed) for unit in codes.T]).reshape(
        codes.shape[1], factors.shape[1]
    )


def _unit_information(unit: np.ndarray, factors: np.ndarray, neighbours: int, seed: int) -> np.ndarray:
    values, classes = np.unique(unit, return_inverse=True)
    if len(values) <= DISCRETE:
        return Information(classes[:, None], factors).table(bins=len(values)).nats[0]
    from sklearn.feature_selection import mutual_info_classif

    # Rounded, since on equal distances the estimate turns on the last digit, which depends on the scale of the unit.
    scaled = np.round(standardized(unit[:, None]), DIGITS)
    found = np.zeros(factors.shape[1])
    for number, factor in enumerate(factors.T):
        if np.unique(factor, return_counts=True)[1].max() > 1:  # classes of one row have no neighbours
            found[number] = mutual_info_classif(scaled, factor, n_neighbors=neighbours, random_state=seed)[0]
    return found


def _shares_of_best(nmi: np.ndarray) -> np.ndarray:
    """The share of every row's largest entry in [A, B], from 0 for 1/B to 1; 0 for a row without information."""
    mass = nmi.sum(axis=1)
    best = np.divide(nmi.max(axis=1, initial=0), mass, out=np.zeros(len(nmi)), where=mass > 0)
    base = max(nmi.shape[1], 2)
    return np.maximum((best - 1 / base) / (1 - 1 / base), 0)


def _losses(codes: np.ndarray, factor: np.ndarray, split: int, balanced: bool) -> np.ndarray:
    """The log loss of every row, [2, N]: of a linear classifier of the codes, and of one that sees no code.

    Both are learned from the first `split` rows. A class that these lack counts the same in both.
    """
    classes, counts = np.unique(factor[:split], return_counts=True)
    prior = np.full(len(classes), 1 / len(classes)) if balanced else counts / split
    column = np.searchsorted(classes, factor).clip(max=len(classes) - 1)
    known = classes[column] == factor
    blind = np.where(known, -np.log(prior)[column], np.log(len(classes) + 1))
    if len(classes) == 1:
        return np.stack([blind, blind])
    weights = "balanced" if balanced else None
    inputs = standardized(codes)
    model = linear.logistic_regression(inputs[:split], factor[:split], penalty=0, class_weight=weights)
    odds = model.decision_function(inputs)
    odds = np.stack([np.zeros_like(odds), odds], axis=1) if odds.ndim == 1 else odds
    seeing = logsumexp(odds, axis=1) - odds[np.arange(len(factor)), column]
    return np.stack([np.where(known, seeing, blind), blind])
