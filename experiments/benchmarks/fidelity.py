"""How close is `rendered` to 3DShapes? Finds the six factors of thirty real images by search and measures the error.

    python -m experiments.benchmarks.fidelity --real=path/to/3dshapes_real_30.npz

The user supplies the file: `images` uint8 [n, 64, 64, 3] of the 3DShapes data set (Apache-2.0 licence). The
search sees all 480 geometries and all hues; for the thirty images of VERIFIED its answer is compared with what the
eye says. Writes experiments/results/fidelity.json and fidelity.png (real, rendered, three times their difference).
"""

import argparse
import datetime
import json
from pathlib import Path

import numpy as np
from PIL import Image

from scaledis import datasets
from scaledis.core.version import commit
from scaledis.datasets import Dataset, rendered

RESULTS = Path(__file__).parents[1] / "results"
# Factor indices of the thirty images, in order, checked by eye on the sheet that this script draws.
# fmt: off
VERIFIED = np.array([
    (0, 1, 0, 6, 2, 4), (3, 8, 5, 5, 1, 0), (5, 2, 5, 4, 0, 8), (8, 3, 9, 5, 0, 10), (3, 2, 0, 7, 2, 7),
    (0, 0, 3, 5, 3, 6), (1, 3, 2, 6, 3, 0), (1, 0, 9, 5, 3, 10), (7, 2, 6, 1, 2, 2), (8, 7, 2, 1, 0, 14),
    (3, 7, 5, 6, 0, 2), (4, 7, 4, 7, 1, 3), (2, 8, 9, 7, 3, 3), (3, 3, 2, 1, 1, 1), (5, 5, 7, 2, 1, 6),
    (4, 4, 1, 1, 1, 6), (0, 4, 7, 4, 0, 6), (0, 2, 0, 2, 0, 14), (0, 1, 5, 2, 0, 0), (0, 0, 6, 4, 2, 9),
    (0, 9, 5, 1, 2, 2), (0, 1, 7, 5, 3, 4), (0, 9, 3, 4, 3, 0), (0, 7, 1, 0, 3, 1), (0, 1, 2, 1, 2, 6),
    (0, 1, 9, 1, 3, 10), (0, 6, 4, 0, 0, 14), (0, 4, 0, 0, 2, 13), (0, 4, 3, 6, 3, 2), (0, 9, 0, 1, 0, 4),
])
# fmt: on


def error(images: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Mean absolute error [n], in levels of 0 to 255, of images [n, 64, 64, 3]."""
    return np.abs(images.astype(np.float32) - real).mean(axis=(1, 2, 3))


def recover(data: Dataset, real: np.ndarray) -> np.ndarray:
    """Factor indices [n, 6] of least error to the images `real` [n, 64, 64, 3], over all geometries and hues."""
    sizes = (*data.factor_sizes[:3], len(data.source))
    indices, errors = [], []
    for geometry, maps in enumerate(np.asarray(data.source, np.float32)):
        index = np.ravel_multi_index((*hues(maps, real), np.full(len(real), geometry)), sizes)
        indices.append(index)
        errors.append(error(data.images(index), real))
    best = np.argmin(errors, axis=0)
    return data.factors(np.array(indices)[best, np.arange(len(real))])


def hues(maps: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Hue indices [3, n] of floor, wall and object: each of least error where the maps [5, 64, 64] show it alone."""
    *materials, sky, highlight = maps
    others = np.sum(materials, axis=0) + sky
    found = []
    for material in materials:
        alone = (material > 0.25) & (others - material < 0.05)
        white = highlight[alone][:, None] * rendered.WHITE
        colors = np.clip(material[alone][:, None] * rendered.COLORS[:, None] + white, 0, 255)  # [10, P, 3]
        seen = real[:, alone].astype(np.float32)
        found.append([np.abs(colors - image).mean(axis=(1, 2)).argmin() for image in seen])
    return np.array(found)


def agreement(found: np.ndarray, verified: np.ndarray) -> dict[str, int]:
    """How many images have their factors right; scale and orientation count within one step."""
    steps = np.abs(found - verified) - np.array([0, 0, 0, 1, 0, 1])
    return dict(zip(rendered.FACTORS, (steps <= 0).sum(axis=0).tolist(), strict=True))


def sheet(real: np.ndarray, images: np.ndarray, columns: int = 5, zoom: int = 3) -> Image.Image:
    """Real, rendered and difference (grey is none, three times enlarged) of n images, side by side in `columns`."""
    difference = np.clip(128 + 3 * (images.astype(int) - real), 0, 255).astype(np.uint8)
    triples = np.concatenate([real, images, difference], axis=2)
    triples = np.concatenate([triples, np.zeros_like(triples[: -len(triples) % columns])])
    rows = [np.concatenate(list(row), axis=1) for row in triples.reshape(-1, columns, *triples.shape[1:])]
    return Image.fromarray(np.concatenate(rows).repeat(zoom, axis=0).repeat(zoom, axis=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="npz of real images, see above")
    parser.add_argument("--directory", default="~/.cache/scaledis", help="of the cached shading maps")
    flags = parser.parse_args()

    real = np.load(flags.real, allow_pickle=False)["images"]
    data = datasets.load("rendered", flags.directory)
    found = recover(data, real)
    images = data.images(data.index(found))
    errors = error(images, real)
    report = {
        "date": datetime.date.today().isoformat(),
        "data_set": f"{data.name} v{rendered.VERSION}",
        "images": len(real),
        "unit": "mean absolute error per image, levels of 0 to 255",
        "median": round(float(np.median(errors)), 3),
        "mean": round(float(errors.mean()), 3),
        "worst": round(float(errors.max()), 3),
    }
    if len(real) == len(VERIFIED):
        report["factors_as_verified"] = agreement(found, VERIFIED)
    print(json.dumps(report, indent=1))
    print("image", *data.factor_names, "error")
    for number, (row, value) in enumerate(zip(found, errors, strict=True)):
        print(number, *row, f"{value:.2f}")
    report |= {"factor_names": data.factor_names, "factors": found.tolist(), "errors": errors.round(3).tolist()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fidelity.json").write_text(json.dumps(report | {"commit": commit()}) + "\n")
    sheet(real, images).save(RESULTS / "fidelity.png")


if __name__ == "__main__":
    main()
