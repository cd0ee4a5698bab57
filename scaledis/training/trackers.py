"""Trackers: a run's terms, scores and sheets in TensorBoard or Weights & Biases, beside metrics.jsonl.

Each imports its library when it is made: `pip install scaledis[tensorboard]` or `scaledis[wandb]`.
"""

import contextlib
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scaledis.core import UserError, files, registry
from scaledis.workdir.layout import Workdir


class Tracker(NamedTuple):
    """A place where the runs of a work directory are logged.

    begin: (run, step) -> None, called first, with the step from which the run goes on, 0 for its start.
    log: (run, step, {name: number}) -> None.
    image: (run, step, name, uint8 [H, W, 3]) -> None.
    close: () -> None.
    """

    begin: Callable[[str, int], None]
    log: Callable[[str, int, Mapping[str, float]], None]
    image: Callable[[str, int, str, np.ndarray], None]
    close: Callable[[], None]


def make_tensorboard(workdir: Workdir) -> Tracker:
    """TensorBoard: event files in <workdir>/tensorboard/<run>; events beyond the step of a resumed run are purged."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UserError("--track: tensorboard needs tensorboardX; pip install scaledis[tensorboard].") from error
    writers: dict[str, Any] = {}

    def begin(run: str, step: int) -> None:
        writers[run] = SummaryWriter(str(workdir.root / "tensorboard" / run), purge_step=step + 1)

    def log(run: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writers[run].add_scalar(name, value, step)

    def image(run: str, step: int, name: str, pixels: np.ndarray) -> None:
        writers[run].add_image(name, pixels, step, dataformats="HWC")

    def close() -> None:
        for each in writers.values():
            each.close()

    return Tracker(begin, log, image, close)


def make_wandb(workdir: Workdir) -> Tracker:
    """Weights & Biases: one run each, in the project scaledis, grouped by work directory; $WANDB_MODE=offline works."""
    try:
        import wandb
    except ImportError as error:
        raise UserError("--track: wandb is missing; pip install scaledis[wandb].") from error
    runs: dict[str, Any] = {}

    def begin(run: str, step: int) -> None:
        place: dict[str, Any] = {"group": workdir.root.name, "dir": str(workdir.root), "project": "scaledis"}
        own: dict[str, Any] = {"name": run, "id": wandb_id(workdir.run(run), step)}
        runs[run] = wandb.init(resume="allow", reinit="create_new", **place, **own)

    def log(run: str, step: int, values: Mapping[str, float]) -> None:
        runs[run].log(dict(values), step=step)

    def image(run: str, step: int, name: str, pixels: np.ndarray) -> None:
        runs[run].log({name: wandb.Image(pixels)}, step=step)

    def close() -> None:
        for each in runs.values():
            each.finish()

    return Tracker(begin, log, image, close)


def wandb_id(folder: Path, step: int) -> str:
    """Returns the id of a run in Weights & Biases, which the run's `folder` keeps in wandb.txt.

    A new id is drawn at step 0, so that a restart is another run there. It is also drawn if the file belongs to another
    folder, so that a copied work directory, unlike a moved one, has other runs.
    """
    path, place = folder / "wandb.txt", folder.stat().st_ino
    with contextlib.suppress(OSError):
        held = re.fullmatch(rf"([0-9a-f]{{16}}) {place}\n", path.read_text("ascii", errors="replace"))
        if held and step:
            return held[1]
    drawn = secrets.token_hex(8)
    files.write_bytes(path, f"{drawn} {place}\n".encode())
    return drawn


TRACKERS = {"tensorboard": make_tensorboard, "wandb": make_wandb}


def make_tracker(name: str, workdir: Workdir) -> Tracker:
    """Makes the tracker `name`. Raises UserError for an unknown name, and if its library is missing."""
    return registry.choose("--track", name, TRACKERS)(workdir)
