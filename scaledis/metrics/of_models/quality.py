"""Generative quality: errors of reconstructions, the ELBO with its terms, and the diversity of prior samples."""

import math

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import entr

from scaledis.datasets import Dataset
from scaledis.metrics.shared import arguments
from scaledis.metrics.shared.spec import Result
from scaledis.model import Model
from scaledis.objectives import gaussian
from scaledis.types import Codes

IMAGES = 500
WINDOW, RADIUS = 1.5, 5  # of SSIM, in pixels: the standard deviation and the radius of a Gaussian window
C1, C2 = 0.01**2, 0.03**2  # for pixels in [0, 1]


def compute(
    model: Model, dataset: Dataset, index: np.ndarray, codes: Codes, seed: int = 0, *, images: int = IMAGES
) -> Result:
    """Returns MSE, PSNR and SSIM of reconstructions, the ELBO with its terms, and the Vendi score of prior samples.

        ELBO = E_x E_q(z|x) log p(x | z) - KL(q(z | x) || p(z))             PSNR = -10 log10 MSE
        Vendi = exp(- sum_i w_i log w_i), w the eigenvalues of K / n        (Friedman and Dieng 2023)

    Reconstructions are decoded from posterior means, the ELBO from one sample of each posterior, as in training. The
    mean of a Gaussian likelihood is clipped to [0, 1], which can only increase the ELBO. K holds the cosines between
    images.

    Args:
        model, dataset, index, codes: the images at `index` [N] and their codes.
        seed: seeds the samples.
        images: the number of reconstructions and of samples from the prior.

    Returns:
        `mse` over pixels and channels in [0, 1]; `psnr` in dB, None if a reconstruction is exact, and `ssim` (Wang et
        al. 2004), means over images; `elbo_nats`, `reconstruction_nats` (the negative log likelihood) and `kl_nats` per
        image; `vendi` of the samples, from 1 (all alike) to their number, and `vendi_data` of the images; `images`;
        `warnings`. A score that is not finite is None, as the ELBO is if a posterior has no noise.
    """
    arguments.check("images", images, int, 1)
    index, mean, log_variance = index[:images], codes.mean[:images], codes.log_variance[:images]
    rng = np.random.default_rng(seed)
    noise, prior = rng.standard_normal((2, *mean.shape)).astype(np.float32)
    originals = dataset.images(index) / np.float32(255)
    decoded = model.decode(np.concatenate([mean, mean + np.exp(log_variance / 2) * noise, prior]))
    reconstructed, drawn, sampled = np.split(decoded, 3)
    error = np.square(originals - reconstructed).mean(axis=(1, 2, 3))
    exact = not error.all()
    nll = float(model.negative_log_likelihood(drawn, originals).mean())
    kl = float(np.asarray(gaussian.kl_to_standard(mean, log_variance)).sum(axis=1).mean())
    scores = {
        "mse": float(error.mean()),
        "psnr": None if exact else float(-10 * np.log10(error).mean()),
        "ssim": float(ssim(originals, reconstructed).mean()),
        "elbo_nats": -nll - kl,
        "reconstruction_nats": nll,
        "kl_nats": kl,
        "vendi": vendi(sampled.reshape(len(index), -1)),
        "vendi_data": vendi(originals.reshape(len(index), -1)),
    }
    infinite = [key for key, value in scores.items() if value is not None and not math.isfinite(value)]
    warnings = [f"{key}: it is not finite, as where a posterior has no noise" for key in infinite]
    warnings += ["psnr: a reconstruction is exact"] if exact else []
    return scores | dict.fromkeys(infinite) | {"images": len(index), "warnings": warnings}


def ssim(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Structural similarity [n] of images [n, H, W, C] in [0, 1], the mean over channels and windows inside the image.

    SSIM = (2 m_x m_y + C1)(2 s_xy + C2) / (m_x^2 + m_y^2 + C1)(s_x^2 + s_y^2 + C2)

    with the means, variances and covariance in a Gaussian window of 11 pixels (Wang et al. 2004).
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)

    def average(values: np.ndarray) -> np.ndarray:
        smooth = gaussian_filter(values, WINDOW, radius=RADIUS, axes=(1, 2))
        return np.asarray(smooth[:, RADIUS:-RADIUS, RADIUS:-RADIUS])

    mean, other_mean = average(one), average(other)
    variance, other_variance = average(one**2) - mean**2, average(other**2) - other_mean**2
    covariance = average(one * other) - mean * other_mean
    above = (2 * mean * other_mean + C1) * (2 * covariance + C2)
    below = (mean**2 + other_mean**2 + C1) * (variance + other_variance + C2)
    return np.asarray((above / below).mean(axis=(1, 2, 3)))


def vendi(rows: np.ndarray) -> float:
    """The Vendi score of rows [n, D] with the cosine as the kernel: the effective number of different rows, 1 to n.

    Rows of zeros have cosine 1 with each other and 0 with all other rows.
    """
    rows = np.asarray(rows, np.float64)
    rows = np.column_stack([rows, ~rows.any(axis=1)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    weights = np.linalg.eigvalsh(rows @ rows.T / len(rows))
    return float(np.exp(entr(np.clip(weights, 0, None)).sum()))
