"""The traversal sheet of one run while it trains: runs/<run>/sheets/<step>.png."""

import io

import numpy as np
from PIL import Image

from scaledis import report
from scaledis.datasets import Dataset
from scaledis.population import Model
from scaledis.report import figures, traversals
from scaledis.sweep import Run
from scaledis.workdir import Workdir, write_bytes


def write(run: Run, model: Model, dataset: Dataset, workdir: Workdir, step: int) -> np.ndarray:
    """Writes the sheet and returns it: uint8 [H, W, 3]."""
    summary = report.summary_of(run, run.config.method.name, dataset, workdir)
    drawn = report.draw(summary, model, dataset, run.config)
    png = figures.png(traversals.sheet([drawn], f"{dataset.name}, step {step:,}"))
    write_bytes(workdir.run(run.name) / "sheets" / f"{step}.png", png)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
