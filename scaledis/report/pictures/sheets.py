"""The traversal sheet of one run while it trains: runs/<run>/sheets/<step>.png."""

import io

import numpy as np
from PIL import Image

from scaledis.core.files import write_bytes
from scaledis.datasets import Dataset
from scaledis.model import Model
from scaledis.report import gather
from scaledis.report.pictures import canvas, traversals
from scaledis.types import Run
from scaledis.workdir.layout import Workdir


@canvas.styled()
def write(run: Run, model: Model, dataset: Dataset, workdir: Workdir, step: int) -> np.ndarray:
    """Writes the sheet and returns it: uint8 [H, W, 3]."""
    summary = gather.logged(run, run.config.method.name, dataset, workdir)
    drawn = gather.draw(summary, model, dataset, run.config)._replace(step=step)
    png = canvas.png(traversals.sheet([drawn]))
    write_bytes(workdir.run(run.name) / "sheets" / f"{step}.png", png)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
