"""The FactorVAE score (Kim & Mnih 2018): a majority vote on the unit that varies least while one factor is fixed."""

import numpy as np

from scaledis.metrics.shared.draws import TRAIN_VOTES, accuracies, votes
from scaledis.metrics.shared.rows import checked
from scaledis.metrics.shared.spec import COMPONENT, VOTES, Result, Spec

SPEC = Spec(("accuracy", "accuracy_train"), intervals={"accuracy": VOTES}, groups=COMPONENT)
ALIVE = 0.05  # of the standard deviation
CHUNK = 1000  # votes in memory at once


def compute(
    codes: np.ndarray, factors: np.ndarray, seed: int = 0, *, threshold: float = ALIVE, protocol: str = "scaledis"
) -> Result:
    """Returns the accuracy of guessing the fixed factor from the unit that varies least.

    A vote fixes a random factor at the value of a random row and draws 64 rows with that value. It names the unit whose
    variance among them is the smallest fraction of its variance over all rows. 10,000 votes assign a factor to each
    unit; 5,000 others are scored. The chance level is near 1/F.

    Protocols: a unit takes part if its standard deviation is at least 0.05 of the largest one. `library` compares with
    0.05 itself, as the settings of disentanglement_lib do, so that a perfect code times 0.01 scores 0 there. (The
    default of disentanglement_lib's code is 0, which keeps constant units; these then win every vote.)

    Args:
        seed: seeds the votes.
        threshold: the 0.05 above.

    Returns:
        `accuracy` of the test votes in [0, 1], 0 if no unit varies; `accuracy_train` of the other votes;
        `active_units`, the units that take part.
    """
    codes, factors = checked(codes, factors)
    deviations = codes.std(axis=0)
    least = threshold * (1.0 if protocol == "library" else deviations.max())
    active = np.flatnonzero((np.ptp(codes, axis=0) > 0) & (deviations >= least))
    if not len(active):
        return {"accuracy": 0.0, "accuracy_train": 0.0, "active_units": []}
    scaled = codes[:, active] / deviations[active]

    def steadiest(_: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.asarray(scaled[rows].var(axis=1).argmin(axis=1))

    fixed, units = votes(factors, np.random.default_rng(seed), 1, CHUNK, steadiest)
    table = np.zeros((len(active), factors.shape[1]), int)
    np.add.at(table, (units[:TRAIN_VOTES], fixed[:TRAIN_VOTES]), 1)
    scores = accuracies(table.argmax(axis=1)[units] == fixed)
    scores["active_units"] = active.tolist()
    return scores
