"""Separated attribute predictability (Kumar et al. 2018)."""

from collections.abc import Callable

import numpy as np

from scaledis.core import registry
from scaledis.metrics.mcc import correlations
from scaledis.metrics.shared import information, parallel, rows
from scaledis.metrics.shared.labels import CATEGORY, Labels, of_classes
from scaledis.metrics.shared.spec import ALL_KINDS, COMPONENT, ROWS, TEST_ROWS, Part, Result, Scores, Spec

SPEC = Spec(("sap", "r2"), fits=True, intervals={"sap": TEST_ROWS, "r2": ROWS}, groups=COMPONENT, kinds=ALL_KINDS)


def line(unit: np.ndarray, factor: np.ndarray, split: int, seed: int) -> np.ndarray:
    """Predicted classes [N] of linear support vector machines, one per class; balanced, C = 0.01."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=0.01, class_weight="balanced", dual=False, random_state=seed)  # pyright: ignore
    return np.asarray(model.fit(unit[:split, None], factor[:split]).predict(unit[:, None]))


def thresholds(unit: np.ndarray, factor: np.ndarray, split: int, seed: int) -> np.ndarray:
    """Predicted classes [N] of a balanced tree on the unit's ranks with as many leaves as there are classes."""
    from sklearn.tree import DecisionTreeClassifier

    ranks = np.unique(unit, return_inverse=True)[1][:, None]
    leaves = len(np.unique(factor[:split]))
    model = DecisionTreeClassifier(max_leaf_nodes=leaves, class_weight="balanced", random_state=seed)
    return np.asarray(model.fit(ranks[:split], factor[:split]).predict(ranks))


def balanced(correct: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The mean over the classes of `factor` [n] of the share of `correct`, bool [n, K], among their rows: [K]."""
    return np.asarray(np.mean([correct[factor == value].mean(axis=0) for value in np.unique(factor)], axis=0))


# A predictor, and the score of its right answers, bool [n, K], for a factor [n].
LINE = (line, lambda correct, factor: correct.mean(axis=0))
THRESHOLDS = (thresholds, balanced)
PREDICTORS: dict[str, tuple[Callable[..., np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]]
PREDICTORS = {"library": LINE, "hfs": LINE, "scaledis": THRESHOLDS, "paper": THRESHOLDS}


def compute(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int = 0,
    *,
    train_fraction: float = rows.TRAIN_FRACTION,
    protocol: str = "library",
    labels: Labels | None = None,
) -> Result:
    """Returns SAP: the lead of the best single-unit predictor of a factor over the second best, on test rows.

        SAP = mean_k s_first(k),k - s_second(k),k

    `r2` takes for s the squared correlation of unit and class number over all rows, for factors whose order is
    meaningful. disentanglement_lib takes the training rows alone, which changes it by up to 0.005. For a number and for
    an angle (by its cosine and sine) s is the squared correlation in both scores, over test rows in `sap`.

    Protocols: under `library` s is the accuracy of LinearSVC(C=0.01, class_weight="balanced") on the codes as given. It
    depends on their scale, and a line cannot separate a middle class: a perfect code of three factors scores 0.53,
    times 0.01 it scores 0.26, times 0.001 it scores 0. `dual=False` and the seed are fixed, since liblinear's default
    changed in scikit-learn 1.5. `hfs` gives it the numbers of 20 bins. `scaledis` and `paper` take the balanced
    accuracy of thresholds on the unit, the greedy ones of a tree with a leaf per class. Neither scale nor sign matters
    there, and the perfect code scores 0.75, 1 minus chance. Public code that scores trees on their training rows gives
    noise a gap.

    Args:
        seed: seeds the predictors.

    Returns:
        `sap` and `r2` in [0, 1]. A unit without variance has s = 0, and the gap of a single unit is to 0. `per_factor`
        and `r2_per_factor` [F].
    """
    codes, factors = rows.checked(codes, factors)
    known = labels or of_classes(factors)
    split = rows.split_at(factors, train_fraction, known.numbers)
    predictor, score = registry.choose("protocol", protocol, PREDICTORS)
    alive = codes[:, np.ptp(codes[:split], axis=0) > 0]

    def right(pair: tuple[int, int]) -> np.ndarray:
        """bool [n], where the test rows of a unit tell the factor; False where they have no label."""
        unit, factor = alive[:, pair[0]], factors[:, pair[1]]
        there, told = known.there[:, pair[1]], np.zeros(len(factor), bool)
        classes = rows.counted(factor[:split])[0]
        if known.kinds[pair[1]] == CATEGORY and len(classes):
            lone, labeled = len(classes) == 1, factor[there]
            trained = int(there[:split].sum())
            guess = np.full(len(labeled), classes[0])
            told[there] = (guess if lone else predictor(unit[there], labeled, trained, seed)) == labeled
        return told[split:]

    shape = alive.shape[1], factors.shape[1]
    correct = np.reshape(parallel.mapped(right, np.ndindex(*shape)), (*shape, len(codes) - split)).transpose(2, 0, 1)

    def gaps(correct: np.ndarray, units: np.ndarray, classes: np.ndarray, amounts: np.ndarray) -> Result:
        drawn, scores = known._replace(classes=classes, amounts=amounts), []
        for number, (there, kind) in enumerate(zip(drawn.there.T, drawn.kinds, strict=True)):
            if kind == CATEGORY:
                scores.append(score(correct[there, :, number], classes[there, number]))
            else:
                scores.append(correlations(units, drawn.chosen(np.arange(len(known.kinds)) == number))[:, 0] ** 2)
        best, second = information.best_and_second(np.stack(scores, axis=1))
        return {"sap": float((best - second).mean()), "per_factor": best - second}

    def drawn_r2(codes: np.ndarray, classes: np.ndarray, amounts: np.ndarray) -> Result:
        return r2(codes, known._replace(classes=classes, amounts=amounts))

    test, every = known.taken(slice(split, None)), (codes, known.classes, known.amounts)
    tested = correct, alive[split:], test.classes, test.amounts
    warnings = rows.rare_classes(factors, split, known.numbers)
    scores = {**gaps(*tested), **r2(codes, known), "warnings": warnings}
    return Scores(scores, {TEST_ROWS: Part(gaps, tested, test.there), ROWS: Part(drawn_r2, every, known.there)})


def r2(codes: np.ndarray, known: Labels) -> Result:
    """`r2` and `r2_per_factor` [F] of codes [N, K] and labels of F factors."""
    best, second = information.best_and_second(correlations(codes, known) ** 2)
    return {"r2": float((best - second).mean()), "r2_per_factor": best - second}
