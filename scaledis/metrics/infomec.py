"""InfoMEC: modularity, explicitness and compactness from information (Hsu et al. 2023)."""

import numpy as np
from scipy.special import logsumexp

from scaledis.metrics.shared import arguments, linear, rows
from scaledis.metrics.shared.classes import MISSING
from scaledis.metrics.shared.information import Information, entropy, share
from scaledis.metrics.shared.labels import CATEGORY, Labels, of_classes
from scaledis.metrics.shared.mutual import nearest_information as nearest_amounts
from scaledis.metrics.shared.spec import ALL_KINDS, COMPONENT, TEST_ROWS, Part, Result, Scores, Spec

SCORES, RATIOS = ("modularity", "explicitness", "compactness"), ("modularity", "compactness")
SPEC = Spec(SCORES, fits=True, ratios=RATIOS, intervals={"explicitness": TEST_ROWS}, groups=COMPONENT, kinds=ALL_KINDS)
NEIGHBORS = 10
DISCRETE = 20  # values
DIGITS = 9
LIBRARY_ACTIVE = 1 / 20


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    active: float | None = None,
    neighbors: int = NEIGHBORS,
    train_fraction: float = rows.TRAIN_FRACTION,
    protocol: str = "scaledis",
    labels: Labels | None = None,
) -> Result:
    """Returns InfoM (each unit knows one factor), InfoC (one unit knows each factor) and InfoE (factors are linear).

        NMI_jk = I(z_j; v_k) / H(v_k)
        InfoM = mean_j (max_k NMI_jk / sum_k NMI_jk - 1/F) / (1 - 1/F)      over active units
        InfoC = mean_k (max_j NMI_jk / sum_j NMI_jk - 1/A) / (1 - 1/A)      over factors, with A active units
        InfoE = mean_k 1 - H(v_k | linear classifier) / H(v_k)

    A unit of at most 20 values gets plug-in information, any other unit the k-nearest-neighbor estimate of
    scikit-learn, whose jitter is drawn by the seed. A unit without information is left out of InfoM; a factor about
    which nothing is known counts 0 in InfoC.

    A number or an angle has the entropy of 20 classes, the information of nearest neighbors (Kraskov et al. 2004) up to
    that entropy, and in InfoE the R^2 of a linear regression.

    The nearest-neighbor estimate of noise is not 0 but a random number up to 0.01 of a factor's entropy (3,000 rows;
    0.004 with 15,000), and InfoM and InfoC depend only on proportions: 10 units of noise and 6 factors have InfoM 0.45
    to 0.60 and InfoC 0.27 to 0.41, with any number of rows. `metrics.compute` returns None for both, under every
    protocol, if no unit knows more of any factor than by chance. Otherwise read both beside InfoE and their chance
    levels.

    InfoM and InfoC have no bootstrap interval: a row drawn twice would be its own nearest neighbor.

    Protocols: by default and under `paper` every unit with variance is active, and the classifier of standardized codes
    is scored on test rows. Under `library` a unit is active if its range exceeds 1/20 of the largest range, and the
    classifier is trained with balanced classes and scored, unbalanced, on the training rows (its interval then draws
    training rows). Public code also takes 1/8, or a tenth of the largest interquartile range. All of these depend on
    scale: a perfect code with one unit times 100 has compactness None under `library`.

    Args:
        seed: seeds the jitter.
        active: the share of the largest range that an active unit exceeds; None: 0, or 1/20 under `library`.
        neighbors: how many nearest neighbors the estimate takes.

    Returns:
        `modularity`, `explicitness` and `compactness` in [0, 1]. `modularity` is None for one factor or without an
        active unit, `compactness` with fewer than two active units, both for codes that know nothing. `active_units`, a
        list; `information`, the NMI [active units, F]; `explicitness_per_factor` [F].
    """
    codes, factors = rows.checked(codes, factors)
    arguments.check("neighbors", neighbors, int, 1)
    known, library = labels or of_classes(factors), protocol == "library"
    split = rows.split_at(factors, train_fraction, known.numbers)
    least = active if active is not None else LIBRARY_ACTIVE if library else 0
    ranges = np.ptp(codes, axis=0)
    units = np.flatnonzero((ranges > 0) & (ranges > least * ranges.max()))
    entropies = np.array(
        [entropy(factor[there, None])[0] for factor, there in zip(factors.T, known.there.T, strict=True)]
    )
    nmi = share(all_information(codes[:, units], known, neighbors, seed), entropies)
    losses = np.stack([losses_of(codes, known, k, split, library) for k in range(factors.shape[1])], axis=2)
    part = slice(None, split) if library else slice(split, None)
    scored = losses[part]
    several = {"modularity": factors.shape[1] > 1 and len(units) > 0, "compactness": len(units) > 1}
    modularity, compactness = _shares_of_best(nmi), _shares_of_best(nmi.T)
    scores = {
        "modularity": float(modularity[nmi.any(axis=1)].mean()) if several["modularity"] and nmi.any() else None,
        "compactness": float(compactness.mean()) if several["compactness"] else None,
        **_explicitness(scored),
        "active_units": units.tolist(),
        "information": nmi,
        "warnings": rows.rare_classes(factors, split, known.numbers)
        + [f"{name}: it needs two to choose from" for name, there in several.items() if not there],
    }
    return Scores(scores, {TEST_ROWS: Part(_explicitness, [scored], known.there[part])})


def _explicitness(losses: np.ndarray) -> Result:
    """`explicitness` and `explicitness_per_factor` of log losses [n, 2, F] of classifiers and of class frequencies."""
    left, whole = rows.mean_of_labeled(losses)
    scores = np.where(whole > 0, 1 - share(left, whole), 0)
    return {"explicitness": float(scores.mean()), "explicitness_per_factor": scores}


def all_information(units: np.ndarray, known: Labels, neighbors: int, seed: int) -> np.ndarray:
    """Information of every unit about every factor over the rows with its label, [K, F] in nats."""
    columns = []
    for k, (there, kind) in enumerate(zip(known.there.T, known.kinds, strict=True)):
        if kind == CATEGORY:
            columns.append(nearest_information(units[there], known.classes[there, k, None], neighbors, seed)[:, 0])
        else:
            columns.append(nearest_amounts(units, known, k, neighbors, seed))
    return np.stack(columns, axis=1)


def losses_of(codes: np.ndarray, known: Labels, k: int, split: int, balanced: bool) -> np.ndarray:
    """The losses of every row, [N, 2], with the codes and without; NaN where the factor has no label."""
    there, found = known.there[:, k], np.full((len(codes), 2), np.nan)
    trained = int(there[:split].sum())
    if known.kinds[k] == CATEGORY:
        found[there] = _losses(codes, known.classes[:, k], split, balanced)[there]
    elif trained:
        targets, inputs = known.targets(k)[there], rows.standardized(codes)[there]
        inputs = np.hstack([inputs, np.ones((len(inputs), 1))])
        line = np.linalg.lstsq(inputs[:trained], targets[:trained])[0]
        guesses = inputs @ line, targets[:trained].mean(axis=0)
        found[there] = np.stack([((targets - guess) ** 2).sum(axis=1) for guess in guesses], axis=1)
    return found


def nearest_information(codes: np.ndarray, factors: np.ndarray, neighbors: int, seed: int) -> np.ndarray:
    """Information of every unit about every factor, [K, F] in nats: plug-in for discrete units, else from neighbors."""
    from sklearn.feature_selection import mutual_info_classif

    nats = np.zeros((codes.shape[1], factors.shape[1]))
    for number, unit in enumerate(codes.T):
        values, classes = np.unique(unit, return_inverse=True)
        if len(values) <= DISCRETE:
            nats[number] = Information(classes[:, None], factors).table(bins=len(values)).nats[0]
            continue
        # Rounded, since the estimate for equal distances depends on the last digit, which changes with the unit's
        # scale.
        scaled = np.round(rows.standardized(unit[:, None]), DIGITS)
        for k, factor in enumerate(factors.T):
            if np.unique(factor, return_counts=True)[1].max() > 1:  # classes of one row have no neighbors
                nats[number, k] = mutual_info_classif(scaled, factor, n_neighbors=neighbors, random_state=seed)[0]
    return nats


def _shares_of_best(nmi: np.ndarray) -> np.ndarray:
    """The share of every row's largest entry in [A, B], from 0 for 1/B to 1; 0 for a row without information."""
    mass = nmi.sum(axis=1)
    best = np.divide(nmi.max(axis=1, initial=0), mass, out=np.zeros(len(nmi)), where=mass > 0)
    base = max(nmi.shape[1], 2)
    return np.asarray(np.maximum((best - 1 / base) / (1 - 1 / base), 0))


def _losses(codes: np.ndarray, factor: np.ndarray, split: int, balanced: bool) -> np.ndarray:
    """The log loss of every row, [N, 2]: of a linear classifier of the codes, and of class frequencies.

    Both are learned from the first `split` rows. A class that these lack has the same loss in both.
    """
    classes, counts = rows.counted(factor[:split])
    if not len(classes):
        return np.zeros((len(factor), 2))
    prior = np.full(len(classes), 1 / len(classes)) if balanced else counts / counts.sum()
    column = np.searchsorted(classes, factor).clip(max=len(classes) - 1)
    known = classes[column] == factor
    blind = np.where(known, -np.log(prior)[column], np.log(len(classes) + 1))
    if len(classes) == 1:
        return np.stack([blind, blind], axis=1)
    weights = "balanced" if balanced else None
    inputs = rows.standardized(codes)
    labeled = np.flatnonzero(factor[:split] != MISSING)
    model = linear.logistic_regression(inputs[labeled], factor[labeled], penalty=0, class_weight=weights)
    odds = model.decision_function(inputs)
    odds = np.stack([np.zeros_like(odds), odds], axis=1) if odds.ndim == 1 else odds
    seeing = logsumexp(odds, axis=1) - odds[np.arange(len(factor)), column]
    return np.stack([np.where(known, seeing, blind), blind], axis=1)
