"""The FactorVAE score (Kim & Mnih 2018): a vote of the unit that varies least while a factor stands still."""

from typing import Any

import numpy as np

from scaledis.metrics.shared.draws import PAIRS, TEST_VOTES, TRAIN_VOTES, SharedValues
from scaledis.metrics.shared.rows import FittedScores, checked

SCORES = ("accuracy", "accuracy_train")
ALIVE = 0.05  # of the standard deviation
CHUNK = 1000  # votes at once


def compute(
    codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, threshold: float = ALIVE, protocol: str = "scaledis"
) -> dict[str, Any]:
    """The FactorVAE score: the accuracy of guessing the fixed factor from the unit that varies least.

    A vote fixes a random factor at the value of a random row, draws 64 rows that share it, and names the unit whose
    variance among them is the smallest share of its variance over all rows. 10,000 votes say which factor each unit
    stands for, 5,000 others are scored. Chance is about 1/F, not 0: the chance level is that of permuted rows.

    Protocols: a unit votes if its standard deviation is at least 0.05 of the largest one. `library` takes 0.05 itself
    (disentanglement_lib's setting; its code's default, 0, keeps constant units, which then win every vote), so that a
    perfect code x 0.01 scores 0 there and 1 here.

    Args:
        codes: float [N, K].
        factors: int [N, F].
        seed: of the votes.
        threshold: the 0.05 above.
        protocol: see above.

    Returns:
        `accuracy` in [0, 1], 0 if no unit varies; `accuracy_train`, of the votes that decide; `active_units`, a list.

    Raises:
        UserError: codes or factors that `checked` refuses.
    """
    codes, factors = checked(codes, factors)
    deviations = codes.std(axis=0)
    unit_of_threshold = 1.0 if protocol == "library" else deviations.max()
    active = np.flatnonzero((np.ptp(codes, axis=0) > 0) & (deviations >= threshold * unit_of_threshold))
    if not len(active):
        return {"accuracy": 0.0, "accuracy_train": 0.0, "active_units": []}
    fixed, units = _votes(codes[:, active] / deviations[active], factors, np.random.default_rng(seed))
    table = np.zeros((len(active), factors.shape[1]), int)
    np.add.at(table, (units[:TRAIN_VOTES], fixed[:TRAIN_VOTES]), 1)
    correct = table.argmax(axis=1)[units] == fixed
    return FittedScores(
        lambda rows: {"accuracy": float(correct[TRAIN_VOTES:][rows].mean())},
        TEST_VOTES,
        {"accuracy_train": float(correct[:TRAIN_VOTES].mean()), "active_units": active.tolist()},
    )


def _votes(codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The fixed factor and the unit that varies least, int [V] each, of standardized `codes` [N, K]."""
    shared = SharedValues(factors)
    fixed = rng.integers(factors.shape[1], size=TRAIN_VOTES + TEST_VOTES)
    units = np.zeros_like(fixed)
    for factor in range(factors.shape[1]):
        votes = np.flatnonzero(fixed == factor)
        for chunk in np.split(votes, range(CHUNK, len(votes), CHUNK)):
            rows = shared.draw(rng, factor, rng.integers(len(codes), size=(len(chunk), 1)), (len(chunk), PAIRS))
            units[chunk] = codes[rows].var(axis=1).argmin(axis=1)
    return fixed, units
