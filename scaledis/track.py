"""Trackers: a run's terms, scores and sheets in TensorBoard or Weights & Biases. metrics.jsonl stays the source.

Each imports its library when it is made: `pip install scaledis[tensorboard]` or `scaledis[wandb]`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from scaledis import registry
from scaledis.errors import UserError
from scaledis.workdir import Workdir


class Tracker(NamedTuple):
    """Where the runs of a work directory are followed.

    log: (run, step, {name: number}) -> None.
    image: (run, step, name, uint8 [H, W, 3]) -> None.
    close: () -> None.
    """

    log: Callable[[str, int, Mapping[str, float]], None]
    image: Callable[[str, int, str, np.ndarray], None]
    close: Callable[[], None]


def make_tensorboard(workdir: Workdir) -> Tracker:
    """TensorBoard: event files in <workdir>/tensorboard/<run>."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UserError("--track: tensorboard needs tensorboardX; pip install scaledis[tensorboard].") from error
    writers: dict[str, Any] = {}

    def writer(run: str) -> Any:
        if run not in writers:
            writers[run] = SummaryWriter(str(workdir.root / "tensorboard" / run))
        return writers[run]

    def log(run: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer(run).add_scalar(name, value, step)

    def image(run: str, step: int, name: str, pixels: np.ndarray) -> None:
        writer(run).add_image(name, pixels, step, dataformats="HWC")

    def close() -> None:
        for each in writers.values():
            each.close()

    return Tracker(log, image, close)


def make_wandb(workdir: Workdir) -> Tracker:
    """Weights & Biases: a run each, in the project scaledis, grouped by work directory; $WANDB_MODE=offline works."""
    try:
        import wandb
    except ImportError as error:
        raise UserError("--track: wandb is missing; pip install scaledis[wandb].") from error
    runs: dict[str, Any] = {}

    def of(run: str) -> Any:
        if run not in runs:
            runs[run] = wandb.init(
                project="scaledis",
                group=workdir.root.name,
                name=run,
                id=f"{workdir.root.name}-{run}".replace("/", "-")[:120],
                dir=str(workdir.root),
                resume="allow",
                reinit="create_new",
            )
        return runs[run]

    def log(run: str, step: int, values: Mapping[str, float]) -> None:
        of(run).log(dict(values), step=step)

    def image(run: str, step: int, name: str, pixels: np.ndarray) -> None:
        of(run).log({name: wandb.Image(pixels)}, step=step)

    def close() -> None:
        for each in runs.values():
            each.finish()

    return Tracker(log, image, close)


TRACKERS = {"tensorboard": make_tensorboard, "wandb": make_wandb}


def make_tracker(name: str, workdir: Workdir) -> Tracker:
    """The tracker `name`. Raises UserError for an unknown name, and where its library is missing."""
    return registry.choose("--track", name, TRACKERS)(workdir)
