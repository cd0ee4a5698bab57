"""Bootstrap intervals of scores. Rows are drawn with replacement; no model is fitted again."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

INTERVAL = (2.5, 97.5)  # percentiles

Part = tuple[Callable[..., dict[str, Any]], *tuple[np.ndarray, ...]]


class Scores(dict[str, Any]):
    """The scores of a metric that fits models, with what a resample computes some of them from.

    Args:
        scores: {score: value}, all of them.
        parts: {`ROWS`, `TEST_ROWS` or `VOTES`: (score, *arrays)}. The first axis of every array is the rows: the
            model's predictions at test rows or votes, or codes and factors of all rows. `score(*arrays)` returns some
            of the scores.
    """

    def __init__(self, scores: Mapping[str, Any], parts: Mapping[str, Part]):
        super().__init__(scores)
        self.parts = parts


def intervals(parts: Mapping[str, Part], names: Collection[str], seed: int, resamples: int) -> dict[str, list[float]]:
    """The 2.5th and 97.5th percentile over resamples of the scores in `names`, under `<score>_interval`.

    A resample draws as many rows of each part as it has, with replacement, and computes the part's scores from them.
    A score that some resample lacks, or gives as None, has no interval.
    """
    rng = np.random.default_rng(seed)
    draws = [_resampled(parts, rng) for _ in range(resamples)]
    values = {name: [draw.get(name) for draw in draws] for name in names if draws}
    return {
        f"{name}_interval": np.percentile(np.asarray(each, float), INTERVAL).tolist()
        for name, each in values.items()
        if None not in each
    }


def _resampled(parts: Mapping[str, Part], rng: np.random.Generator) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for score, *arrays in parts.values():
        rows = rng.integers(len(arrays[0]), size=len(arrays[0]))
        scores |= score(*(array[rows] for array in arrays))
    return scores
