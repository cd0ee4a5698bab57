"""How much memory 100,000 images of 128x128x3 of the user's own take: prepared in a stream, and trained from the map.

    python -m experiments.benchmarks.own_images --directory=/tmp/images

The images are random bytes, given by an object of Python one after the other; their file of 4.9 GB lies in the
directory and ends with the process. The peaks are `resource.getrusage`'s, after each part. They include pages of the
file, which the system takes back when it needs memory; `own` is without them, at the end. Writes
experiments/results/own_images.json.
"""

import math
import resource
import time
from pathlib import Path

import numpy as np
from absl import app, flags

import scaledis
from scaledis.core.files import write_json
from scaledis.core.runtime import machine, prepare_jax

COUNT, SHAPE, STEPS = 100_000, (128, 128, 3), 50
RESULT = Path(__file__).parents[1] / "results" / "own_images.json"
DIRECTORY = flags.DEFINE_string("directory", None, "where the file of the images lies", required=True)


class Random:
    """Random images with a number and a label that is missing for every third one."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, place: int) -> tuple[np.ndarray, dict[str, float | None]]:
        rng = np.random.default_rng(place)
        return np.frombuffer(rng.bytes(math.prod(SHAPE)), np.uint8).reshape(SHAPE), {
            "size": rng.random() if place % 3 else None
        }


def main(_: list[str]) -> None:
    prepare_jax()
    found: dict[str, object] = {"machine": machine(), "images": COUNT, "shape": SHAPE, "steps": STEPS}
    start = time.perf_counter()
    data = scaledis.load_dataset(Random(), DIRECTORY.value)
    found |= {"seconds_to_prepare": time.perf_counter() - start, "peak_gb_prepared": peak()}
    settings = {"train.steps": STEPS, "train.batch": 64, "evaluate.metrics": (), "data.directory": DIRECTORY.value}
    scaledis.train(scaledis.make_config("vae", settings), data)
    found |= {"fingerprint": data.fingerprint, "peak_gb_trained": peak(), "own_gb_at_the_end": own()}
    write_json(RESULT, found)
    print(found)


def peak() -> float:
    """Returns the most memory that this process has had so far, in GB; on Linux getrusage counts KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def own() -> float:
    """Returns the memory of this process without pages of files, in GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kib,) = [int(line.split()[1]) for line in lines if line.startswith("RssAnon")]
    return kib * 1024 / 1e9


if __name__ == "__main__":
    app.run(main)
