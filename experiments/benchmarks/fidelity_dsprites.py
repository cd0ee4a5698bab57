"""How close is `rendered_dsprites` to dSprites? Finds real frames among all rendered images and measures the overlap.

    python -m experiments.benchmarks.fidelity_dsprites --real=path/to/dsprites_real_154.npz

The user supplies the file: `images` uint8 [n, 64, 64] in {0, 1}, frames of dSprites (Apache-2.0 licence). The search
sees every one of the 737,280 images, in a quarter of a minute on one core. The outlines of the data set were fitted to
the same 154 frames; the ten numbers of the heart, fitted to every other heart alone, leave 0.6 wrong pixels in each
of the rest. In which direction a factor grows is read off the order of the frames, that of an animation.

Writes experiments/results/fidelity_dsprites.json and fidelity_dsprites.png (real, rendered and their difference for a
dozen frames: the worst four of each shape).
"""

import argparse
import datetime
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image
from tqdm import tqdm

from scaledis import datasets
from scaledis.core.version import commit
from scaledis.datasets import Dataset

RESULTS = Path(__file__).parents[1] / "results"
SHAPES = ("square", "ellipse", "heart")
BATCH = 1024


def overlap(images: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Intersection over union [m, n] of the white pixels of images [m, H, W] and real [n, H, W], both boolean."""
    a, b = (jnp.asarray(masks.reshape(len(masks), -1), jnp.float32) for masks in (images, real))
    common = a @ b.T  # whole numbers, exact in float32
    return np.asarray(common / (a.sum(1)[:, None] + b.sum(1) - common))


def recover(data: Dataset, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image index int [n] of largest overlap with each of `real` bool [n, 64, 64], the first among equals, and it."""
    best, found = np.zeros(len(real)), np.zeros(len(real), int)
    for start in tqdm(range(0, data.size, BATCH), "searching", disable=None):
        overlaps = overlap(data.images(np.arange(start, start + BATCH))[..., 0] > 0, real)
        nearest = overlaps.argmax(axis=0)
        overlaps = overlaps[nearest, np.arange(len(real))]
        found = np.where(overlaps > best, start + nearest, found)
        best = np.maximum(best, overlaps)
    return found, best


def summary(overlaps: np.ndarray) -> dict[str, float]:
    low, median = np.quantile(overlaps, [0.05, 0.5])
    return {
        "frames": len(overlaps),
        "equal_in_every_pixel": int((overlaps == 1).sum()),
        "median": round(float(median), 4),
        "percentile_5": round(float(low), 4),
        "worst": round(float(overlaps.min()), 4),
    }


def sheet(real: np.ndarray, images: np.ndarray, columns: int = 3, zoom: int = 3) -> Image.Image:
    """Real, rendered and where they differ (red: rendered alone; blue: real alone) of bool masks [n, 64, 64]."""
    levels = [np.repeat(255 * masks[..., None].astype(np.uint8), 3, axis=-1) for masks in (real, images)]
    both, one, other = real & images, images & ~real, real & ~images
    difference = (255 * np.stack([one, np.zeros_like(one), other], -1) + 70 * both[..., None]).astype(np.uint8)
    cells = np.pad(np.concatenate([*levels, difference], axis=2), ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=90)
    rows = [np.concatenate(list(row), axis=1) for row in cells.reshape(-1, columns, *cells.shape[1:])]
    return Image.fromarray(np.concatenate(rows).repeat(zoom, axis=0).repeat(zoom, axis=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="npz of real frames, see above")
    flags = parser.parse_args()

    real = np.load(flags.real, allow_pickle=False)["images"] > 0
    data = datasets.load("rendered_dsprites", "unused")
    found, overlaps = recover(data, real)
    factors = data.factors(found)
    shapes = factors[:, 0]
    report = {
        "date": datetime.date.today().isoformat(),
        "data_set": data.name,
        "unit": "intersection over union of white pixels, the best over all images of the grid",
        "all": summary(overlaps),
        **{name: summary(overlaps[shapes == number]) for number, name in enumerate(SHAPES) if number in shapes},
        "recovered_factors": {
            "distinct_images": len(np.unique(found)),
            "values_seen": {
                name: len(np.unique(column)) for name, column in zip(data.factor_names, factors.T, strict=True)
            },
        },
    }
    print(json.dumps(report, indent=1))
    print("frame", *data.factor_names, "overlap")
    for number, (row, value) in enumerate(zip(factors, overlaps, strict=True)):
        print(number, *row, f"{value:.3f}")
    report |= {"factor_names": data.factor_names, "factors": factors.tolist(), "overlaps": overlaps.round(4).tolist()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fidelity_dsprites.json").write_text(json.dumps(report | {"commit": commit()}) + "\n")
    order = np.argsort(overlaps, kind="stable")
    shown = np.concatenate([order[shapes[order] == number][:4] for number in range(len(SHAPES))])
    shown = shown[: len(shown) // 3 * 3]
    sheet(real[shown], data.images(found[shown])[..., 0] > 0).save(RESULTS / "fidelity_dsprites.png")


if __name__ == "__main__":
    main()
