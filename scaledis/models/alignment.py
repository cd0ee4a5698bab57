"""Units of several runs, matched up to order and sign: which directions every seed finds again."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from scaledis.core import convert, kinds
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset
from scaledis.metrics.shared import arguments
from scaledis.metrics.shared.agreement import rank_scores
from scaledis.model import Model

IMAGES = 5000  # of a data set
PERMUTATIONS = 200  # behind the threshold
QUANTILE = 0.99


class Alignment(NamedTuple):
    """The units of R runs, each matched with a unit of the reference, the run that agrees best with all others.

    The place k of a matched unit is the number of the reference's unit.

    Attributes:
      order: int [R, K], the unit of each run in each place; -1 if a run with fewer units has none for it.
      signs: int [R, K], -1 if the unit has the opposite sign of the reference's unit, else 1.
      consistency: [K], the mean over all pairs of runs of the absolute rank correlation of their units in a place.
      threshold: the consistency that the best place of unrelated runs exceeds in one of a hundred cases.
      reference: the index of the reference among the runs.
    """

    order: np.ndarray
    signs: np.ndarray
    consistency: np.ndarray
    threshold: float
    reference: int

    @property
    def found(self) -> np.ndarray:
        """bool [K], the places in which the runs agree beyond chance."""
        return np.asarray(self.consistency > self.threshold)

    def apply(self, run: int, codes: np.ndarray) -> np.ndarray:
        """Returns the codes [N, K_r] of a run in the order and with the signs of the reference, [N, K].

        A place without a unit of this run is 0.
        """
        order = self.order[run]
        return np.asarray(np.where(order >= 0, np.asarray(codes)[:, order], 0) * self.signs[run])

    def __repr__(self) -> str:
        runs, places = self.order.shape
        return f"Alignment({runs} runs, {self.found.sum()} of {places} units found, above {self.threshold:.3f})"


@kinds.checked
def align(runs: Sequence[Any], images: Dataset | np.ndarray | None = None, seed: int = 0) -> Alignment:
    """Matches the units of several runs, usually seeds of one setting, one to one up to order and sign.

    The match of a run with the reference maximizes the sum of the absolute rank correlations of matched units
    (Hungarian method). A unit counts as found if its consistency is above `threshold`. To compute the threshold, the
    rows of each run are permuted, so that no two runs have anything in common, and matched in the same way, 200 times.

    Args:
      runs: at least two models, or their codes [N, K_r] for the same N images, of numpy, JAX, torch, pandas or lists.
      images: the images that the models encode: uint8 [N, H, W, C], or a data set, from which 5,000 are drawn.
      seed: the seed of the drawn images and of the permutations.

    Raises UserError for fewer than two runs, models without images, codes of different images, and codes that are not
    finite.

    >>> codes = np.random.default_rng(0).normal(size=(500, 4))
    >>> alignment = align([codes, -codes[:, ::-1]])
    >>> alignment
    Alignment(2 runs, 4 of 4 units found, above 0.161)
    >>> alignment.order[1], alignment.signs[1]
    (array([3, 2, 1, 0]), array([-1, -1, -1, -1]))
    """
    arguments.check("seed", seed, int, 0)
    rng = np.random.default_rng(seed)
    ranks = [rank_scores(codes) / np.sqrt(len(codes)) for codes in _codes(runs, images, rng)]
    agreement = np.zeros((len(ranks), len(ranks)))
    for a, b in itertools.combinations(range(len(ranks)), 2):
        correlation = np.abs(ranks[a].T @ ranks[b])
        agreement[a, b] = agreement[b, a] = correlation[linear_sum_assignment(-correlation)].sum()
    reference = int(agreement.sum(axis=1).argmax())
    order, signs, consistency = _matched(ranks, reference)
    chance = []
    for _ in range(PERMUTATIONS):
        permuted = [run[rng.permutation(len(run))] for run in ranks]
        chance.append(_matched(permuted, reference)[2].max(initial=0.0))
    return Alignment(order, signs, consistency, float(np.quantile(chance, QUANTILE)), reference)


def _codes(runs: Sequence[Any], images: Dataset | np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns the codes [N, K_r] of each run for the same images."""
    if len(runs) < 2:
        raise UserError(f"runs: {len(runs)}; at least two are needed to align.")
    if any(isinstance(run, Model) for run in runs):
        if images is None:
            raise UserError("images: None; models need images or a data set to encode.")
        if isinstance(images, Dataset):
            images = images.images(rng.choice(images.size, min(IMAGES, images.size), replace=False))
        runs = [run.encode(images).mean if isinstance(run, Model) else run for run in runs]
    found = [convert.numbers("runs", convert.aligned("runs", run, runs[0])).astype(np.float64) for run in runs]
    for number, codes in enumerate(found):
        if codes.ndim != 2 or len(codes) != len(found[0]) or not np.isfinite(codes).all():
            rows = len(found[0]) if found[0].ndim == 2 else "N"
            raise UserError(f"runs: {number} has codes {list(codes.shape)}; expected finite [{rows}, K].")
    return found


def _matched(ranks: Sequence[np.ndarray], reference: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns order, signs and consistency of an Alignment, from the ranks [N, K_r] of each run, of length 1."""
    count = ranks[reference].shape[1]
    order, signs = np.full((len(ranks), count), -1), np.ones((len(ranks), count), int)
    for run, own in enumerate(ranks):
        correlation = ranks[reference].T @ own
        places, units = linear_sum_assignment(-np.abs(correlation))
        order[run, places] = units
        signs[run, places] = np.where(correlation[places, units] < 0, -1, 1)
    placed = [np.where(chosen >= 0, own[:, chosen], 0) for chosen, own in zip(order, ranks, strict=True)]
    pairs = list(itertools.combinations(placed, 2))
    return order, signs, np.mean([np.abs(np.einsum("nk,nk->k", a, b)) for a, b in pairs], axis=0)
