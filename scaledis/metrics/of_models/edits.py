"""Selectivity of edits: among the factors that change when a unit moves, the share of the unit's own factor (ours)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scaledis.core import UserError
from scaledis.datasets import Dataset
from scaledis.metrics import entropy, information
from scaledis.metrics.of_models.shared import classifiers, coding
from scaledis.metrics.of_models.shared.classifiers import Classify
from scaledis.metrics.shared import arguments, labels
from scaledis.metrics.shared.information import share
from scaledis.metrics.shared.rows import or_none
from scaledis.metrics.shared.spec import Result, Spec
from scaledis.model import Model
from scaledis.types import Codes

SCORES = ("selectivity", "kept", "effective")
SPEC = Spec(SCORES)
IMAGES = 200
CHANGED = 0.5  # total variation between two predictions
RIGHT = 0.95  # accuracy of a classifier, below which there is a warning


def compute(
    model: Model,
    dataset: Dataset,
    index: np.ndarray,
    codes: Codes,
    seed: int = 0,
    *,
    images: int = IMAGES,
    directory: str | Path | None = None,
    classify: Classify | None = None,
) -> Result:
    """Returns edit selectivity, which answers in numbers the third question of Beyond Flat Latent.

    Each unit j moves from -2 to 2 in five steps on the first images x, with the others at their posterior means. A
    factor k changes on an image, c_jk(x) = 1, if at some step its predicted distribution differs from that of the
    unmoved reconstruction by a total variation above 1/2; otherwise c_jk(x) = 0. The own factor o(j) of a unit is the
    one about which its codes have the largest share of information above chance, I(z_j; v_k) / H(v_k).

        selectivity = sum_jx c_jo(j)(x) / sum_jkx c_jk(x)         kept = mean_jx prod_(k != o(j)) (1 - c_jk(x))

    With one factor per unit both are 1. A random rotation of F equally fine factors has a selectivity near 1/F.

    Args:
        model, dataset, index, codes: the images at `index` [N] and their codes.
        seed: ignored; the classifiers are trained once per data set.
        images: the number of images that are edited.
        directory: the folder of the classifiers; None: that of the run's data set (shared/classifiers.py).
        classify: replaces the classifiers: images [n, H, W, C] in [0, 1] -> probabilities of each factor's values,
            [n, V_k].

    Returns:
        `selectivity`, `kept`, and `effective`, the share of images whose own factor changes (a unit that changes
        nothing has `kept` 1), over all units of more than 0.1 nats that know a factor. `<score>_per_unit` [K] and
        `<score>_per_level` [L], top first; None without such a unit. `factor_per_unit`, the names of o(j); `changes`
        [K, F], the share of images on which a factor changes; `accuracy_per_factor` [F] of the classifiers on images
        outside of their training set; `warnings`.

    Raises:
        UserError: a data set without factors, or with numbers or missing labels; codes that are not finite.
    """
    arguments.check("images", images, int, 1)
    if not dataset.factor_names:
        raise UserError(f"{dataset.name} has no factors that an edit could change")
    factors = dataset.factors(index)
    if not labels.read("factors", factors).plain:
        raise UserError(f"{dataset.name} has numbers or missing labels, and edits are classified by categories")
    shares = share(information(codes.mean, factors, corrected=True), entropy(factors))
    own, alive = shares.argmax(axis=1), coding.alive(codes) & (shares.max(axis=1) > 0)
    accuracy, warnings = None, [] if alive.any() else ["edits: no unit of more than 0.1 nats knows a factor"]
    if classify is None:
        trained = classifiers.of_dataset(dataset, directory or model.config.data.directory)
        classify, accuracy = trained.classify, trained.accuracy.tolist()
        warnings += [
            f"edits: the classifier of {name} is right on {100 * right:.0f} % of the images"
            for name, right in zip(dataset.factor_names, trained.accuracy, strict=True)
            if right < RIGHT
        ]
    changes = np.zeros((len(alive), min(images, len(index)), len(dataset.factor_names)), bool)
    start = codes.mean[:images]
    unmoved = classify(model.decode(start))
    for unit in np.flatnonzero(alive).tolist():
        changes[unit] = changed(unmoved, classify(coding.decoded_traversal(model, start, unit)))
    parts = {"_per_unit": np.diag(alive)}
    parts["_per_level"] = alive & (codes.levels == np.unique(codes.levels)[:, None])
    scores: Result = {**_of_units(changes, own, alive)}
    for name, members in parts.items():
        found = [_of_units(changes, own, units) for units in members]
        scores |= {key + name: [each[key] for each in found] for key in SCORES}
    return scores | {
        "factor_per_unit": or_none(np.array(dataset.factor_names)[own], alive),
        "changes": changes.mean(axis=1).tolist(),
        "accuracy_per_factor": accuracy,
        "warnings": warnings,
    }


def changed(unmoved: Sequence[np.ndarray], moved: Sequence[np.ndarray]) -> np.ndarray:
    """The factors that change, bool [n, F], between probabilities [n, V_k] and those of all steps [n * S, V_k]."""
    apart = []
    for before, after in zip(unmoved, moved, strict=True):
        steps = after.reshape(len(before), -1, before.shape[1])
        apart.append(np.abs(steps - before[:, None]).sum(axis=2) / 2)
    return np.asarray(np.stack(apart, axis=2).max(axis=1) > CHANGED)


def _of_units(changes: np.ndarray, own: np.ndarray, units: np.ndarray) -> dict[str, float | None]:
    """The scores of the units in the mask [K], of changes bool [K, n, F] and own factors [K]; None without a unit."""
    if not units.any():
        return dict.fromkeys(SCORES)
    those = changes[units]
    is_own = np.eye(changes.shape[2], dtype=bool)[own[units]][:, None]  # [units, 1, F]
    of_own, others, total = those & is_own, those & ~is_own, those.sum()
    selectivity = float(of_own.sum() / total) if total else None
    kept, effective = 1 - others.any(axis=2).mean(), of_own.any(axis=2).mean()
    return {"selectivity": selectivity, "kept": float(kept), "effective": float(effective)}
