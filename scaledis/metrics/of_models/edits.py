"""How selective an edit is: of the factors that change when a unit moves, the share that is the unit's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.metrics import entropy, information
from scaledis.metrics.of_models.shared import classifiers, coding
from scaledis.metrics.of_models.shared.classifiers import Classify
from scaledis.metrics.shared.information import share
from scaledis.metrics.shared.spec import Spec
from scaledis.objectives import gaussian
from scaledis.types import Codes, Model

SCORES = ("selectivity", "kept", "effective")
SPEC = Spec(SCORES)
LOW, HIGH, STEPS = -2.0, 2.0, 5  # of a traversal
IMAGES = 200
CHANGED = 0.5  # total variation between two predictions
RIGHT = 0.95  # a classifier of less accuracy is warned of


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
) -> dict[str, Any]:
    """Edit selectivity: what Beyond Flat Latent asks as its third question and shows in pictures, as numbers.

    Each unit j goes from -2 to 2 in five steps on the first images x, the others at their posterior means. A factor k
    has changed on an image if at some step its predicted distribution differs from that of the unmoved reconstruction
    by a total variation above 1/2, c_jk(x) in {0, 1}. The unit's own factor o(j) is that of which its codes know the
    largest share, I(z_j; v_k) / H(v_k) above chance.

        selectivity = sum_jx c_jo(j)(x) / sum_jkx c_jk(x)         kept = mean_jx prod_(k != o(j)) (1 - c_jk(x))

    With one factor a unit both are 1; a random rotation of F factors that are equally fine has a selectivity near 1/F.

    Args:
        model, dataset, index, codes: the images at `index` [N] and their codes.
        seed: unused: the classifiers are trained once per data set.
        images: how many of them are edited.
        directory: where the classifiers are kept; None: that of the run's data set (shared/classifiers.py).
        classify: takes their place: images [n, H, W, C] in [0, 1] -> probabilities of each factor's values, [n, V_k].

    Returns:
        `selectivity`, `kept`, and `effective`, the share of images whose own factor changes, without which `kept`
        says little; over all units of more than 0.1 nats that know of a factor. `<score>_per_unit` [K] and
        `<score>_per_level` [L], top first; None where nothing is known. `factor_per_unit`, the names of o(j); `changes`
        [K, F], the share of images on which a factor changes; `accuracy_per_factor` [F] of the classifiers on images
        that they have not seen; `warnings`.

    Raises:
        UserError: a data set without factors, or of which no factor varies among the images; codes that are not finite.
    """
    if not dataset.factor_names:
        raise UserError(f"{dataset.name} has no factors that an edit could change")
    factors = dataset.factors(index)
    shares = share(information(codes.mean, factors, corrected=True), entropy(factors))
    own, nats = shares.argmax(axis=1), np.asarray(gaussian.kl_to_standard(codes.mean, codes.log_variance)).mean(0)
    alive = (nats > coding.DEAD) & (shares.max(axis=1) > 0)
    accuracy, warnings = None, [] if alive.any() else ["edits: no unit of more than 0.1 nats knows of a factor"]
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
        changes[unit] = changed(unmoved, classify(_decoded_traversal(model, start, unit)))
    groups = {"": alive[None], "_per_unit": np.diag(alive)}
    groups["_per_level"] = alive & (codes.levels == np.unique(codes.levels)[:, None])
    scores: dict[str, Any] = {}
    for name, members in groups.items():
        found = [_of_units(changes, own, units) for units in members]
        for key in SCORES:
            values = [each[key] for each in found]
            scores[key + name] = values if name else values[0]
    return scores | {
        "factor_per_unit": [dataset.factor_names[k] if there else None for k, there in zip(own, alive, strict=True)],
        "changes": changes.mean(axis=1).tolist(),
        "accuracy_per_factor": accuracy,
        "warnings": warnings,
    }


def changed(unmoved: Sequence[np.ndarray], moved: Sequence[np.ndarray]) -> np.ndarray:
    """Which factors change, bool [n, F]: from probabilities [n, V_k], to those of the steps [n * S, V_k]."""
    apart = [
        np.abs(after.reshape(len(before), -1, before.shape[1]) - before[:, None]).sum(axis=2) / 2
        for before, after in zip(unmoved, moved, strict=True)
    ]
    return np.stack(apart, axis=2).max(axis=1) > CHANGED


def _decoded_traversal(model: Model, start: np.ndarray, unit: int) -> np.ndarray:
    """Images [n * S, H, W, C] of one unit's traversal from each of the codes `start` [n, K]."""
    return model.decode(coding.traversed(start, LOW, HIGH, STEPS)[:, unit].reshape(-1, start.shape[1]))


def _of_units(changes: np.ndarray, own: np.ndarray, units: np.ndarray) -> dict[str, float | None]:
    """The scores of the units in the mask [K], of changes bool [K, n, F] and own factors [K]; None without a unit."""
    if not units.any():
        return dict.fromkeys(SCORES)
    those = changes[units]
    is_own = np.eye(changes.shape[2], dtype=bool)[own[units]][:, None]  # [units, 1, F]
    of_own, total = (those & is_own).sum(), those.sum()
    return {
        "selectivity": float(of_own / total) if total else None,
        "kept": float(1 - (those & ~is_own).any(axis=2).mean()),
        "effective": float((those & is_own).any(axis=2).mean()),
    }
