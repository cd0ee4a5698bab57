"""The codes of a data set's images, and traversals of them."""

import numpy as np

from scaledis.core.chunks import chunked, joined
from scaledis.datasets import Dataset
from scaledis.model import Model, traversed
from scaledis.objectives import gaussian
from scaledis.types import Codes

READ = 512  # images
DEAD = 0.1  # nats of KL, below which a unit knows nothing of the image
LOW, HIGH, STEPS = -2.0, 2.0, 5  # of the traversals that are scored


def encode_images(model: Model, dataset: Dataset, index: np.ndarray) -> Codes:
    """The codes of the images at `index` [n], of which `READ` are in memory at once."""
    parts = [model.encode(dataset.images(chunk)) for chunk in chunked(index, READ)]
    mean, log_variance = (joined([part[place] for part in parts], len(index)) for place in (0, 1))
    return Codes(mean, log_variance, parts[0].levels)


def alive(codes: Codes) -> np.ndarray:
    """bool [K], the units with a mean KL above 0.1 nats."""
    return np.asarray(np.asarray(gaussian.kl_to_standard(codes.mean, codes.log_variance)).mean(axis=0) > DEAD)


def decoded_traversal(model: Model, mean: np.ndarray, unit: int) -> np.ndarray:
    """Images [n * 5, H, W, C] of one unit moving from -2 to 2 in five steps, from each of the codes `mean` [n, K]."""
    return model.decode(traversed(mean, LOW, HIGH, STEPS)[:, unit].reshape(-1, mean.shape[1]))
