"""The best states of a population: one more checkpoint, in which each run is at its own best step so far.

    checkpoints/<population>/best/<step>          `step` is the last one at which any run was better than before
    checkpoints/<population>/uncompared-<step>    a stop came before the runs were compared at that step

The manifest has `best`: the criterion, and the best step and the number of each run. A run that never had a number has
None for both, and its state in this checkpoint has no meaning.
"""

from pathlib import Path
from typing import Any, NamedTuple

from scaledis.sweeps.best import KEY
from scaledis.workdir.checkpoint import Checkpoints, Damaged
from scaledis.workdir.layout import Workdir

BEST = "best"  # the folder, the entry of the manifest, and the word that stands for the steps of these states


class Best(NamedTuple):
    """The best steps of the runs [R] of a population.

    by: the criterion, such as "elbo_nats:max".
    runs: their names.
    steps: the best step of each run; None for a run that never had a number.
    numbers: those of the runs at these steps.
    way: the settings by which scores were computed; "" for numbers of the log.
    """

    by: str
    runs: list[str]
    steps: list[int | None]
    numbers: list[float | None]
    way: str = ""

    @property
    def words(self) -> str:
        """The criterion, and the settings by which it was computed."""
        return f"{self.by} ({self.way})" if self.way else self.by

    @property
    def about(self) -> dict[str, Any]:
        """The entries of the manifest."""
        return {"runs": self.runs, BEST: {key: value for key, value in self._asdict().items() if key != "runs"}}

    def step(self, name: str) -> int | None:
        """Returns the best step of a run; None if the run is unknown or has none."""
        return dict(zip(self.runs, self.steps, strict=True)).get(name)


def checkpoints(workdir: Workdir, index: int) -> Checkpoints:
    """Returns the checkpoints of the best states of population `index`, one at most."""
    return Checkpoints(workdir.checkpoints(index) / BEST, keep=1)


def uncompared(workdir: Workdir, index: int, step: int) -> Path:
    """Returns the file that exists while the runs of population `index` must still be compared at a step."""
    return workdir.checkpoints(index) / f"uncompared-{step}"


def read(held: Checkpoints) -> Best | None:
    """Returns the best steps of a population; None if it has none. Raises Damaged if they cannot be read."""
    if held.newest is None:
        return None
    manifest = held.manifest(held.newest)
    try:
        return Best(runs=manifest["runs"], **manifest[BEST])
    except (KeyError, TypeError) as error:
        raise Damaged(f"the manifest of step {held.newest} has no steps of {KEY}") from error
