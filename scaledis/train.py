"""The loop: advance a population, log it, checkpoint it; from wherever its newest checkpoint stands."""

import contextlib
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from tqdm import tqdm

from scaledis import population
from scaledis.checkpoint import Checkpoints
from scaledis.datasets import Dataset
from scaledis.population import NEVER, Run
from scaledis.results import Records, Workdir
from scaledis.sweep import Member

SHOWN = {"loss_nats": "loss", "reconstruction_nats": "rec", "kl_nats": "kl"}  # terms of the progress bar


class Stopped(Exception):
    """A signal asked to stop; the state is in a checkpoint."""


def train(members: Sequence[Member], index: int, dataset: Dataset, workdir: Workdir, stop: Callable[[], bool]) -> None:
    """Trains population `index` of the work directory to its last step, from its newest checkpoint.

    A population whose every run has diverged is at its end.
    Raises Stopped, after a checkpoint, once `stop()`; UserError where a checkpoint cannot be written.
    """
    configs = [member.config for member in members]
    settings = configs[0].train
    checkpoints = Checkpoints(workdir.checkpoints(index), settings.keep)
    if checkpoints.newest == settings.steps:
        return
    program = population.program(configs, dataset, population.build(configs, dataset))
    step, runs = checkpoints.restore(program.shapes) or (0, program.init())
    diverged = jax.device_get(runs.diverged)
    records = [Records(workdir.run(member.name) / "metrics.jsonl", step) for member in members]

    title = members[0].name if len(members) == 1 else f"{len(members)} runs"
    with tqdm(total=settings.steps, initial=step, desc=title, unit="step", disable=not sys.stderr.isatty()) as bar:
        while step < settings.steps:
            following = min(_next(step, settings.log_every), _next(step, settings.checkpoint_every), settings.steps)
            runs, terms = program.advance(runs, following - step)
            before, (terms, diverged) = diverged, jax.device_get((terms, runs.diverged))
            bar.update(following - step)
            bar.set_postfix(_shown(terms))
            for slot, record in enumerate(records):
                record.append({"step": following, **_record(terms, diverged, slot)})
            _report(members, before, diverged)
            step = settings.steps if (diverged != NEVER).all() else following  # nothing changes any more
            if step % settings.checkpoint_every == 0 or step == settings.steps or stop():
                checkpoints.save(step, runs)
            if stop() and step < settings.steps:
                raise Stopped(f"Stopped at step {step} of {settings.steps}; the same command goes on from there.")


def _next(step: int, every: int) -> int:
    return step - step % every + every


def _report(members: Sequence[Member], before: np.ndarray, diverged: np.ndarray) -> None:
    """Says which runs have diverged since `before`."""
    for member, earlier, at in zip(members, before, diverged, strict=True):
        if at != earlier:
            tqdm.write(f"{member.name} diverged at step {at} and is frozen there.", file=sys.stderr)
    if (diverged != NEVER).all():
        tqdm.write("No run goes on: training ends here.", file=sys.stderr)


def _shown(terms: dict[str, np.ndarray]) -> dict[str, str]:
    """The main terms for the progress bar, means over the runs that go on."""
    going = {name: terms[name][np.isfinite(terms[name])] for name in SHOWN}
    return {SHOWN[name]: f"{values.mean():.1f}" if values.size else "diverged" for name, values in going.items()}


def _record(terms: dict[str, np.ndarray], diverged: np.ndarray, slot: int) -> dict[str, float | int | None]:
    """One line of metrics.jsonl; a frozen run's terms are null."""
    values = {name: float(term[slot]) for name, term in terms.items()}
    record = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return record if diverged[slot] == NEVER else record | {"diverged": int(diverged[slot])}


@contextlib.contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Turns the first SIGTERM or SIGINT into `stop() == True`; a second one ends the process as usual."""
    asked = threading.Event()
    previous = {}

    def ask(number, frame):
        asked.set()
        for each, handler in previous.items():
            signal.signal(each, handler)
        print("\nStopping at the next checkpoint; once more to stop at once.", file=sys.stderr)

    for number in (signal.SIGTERM, signal.SIGINT):
        previous[number] = signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def trained(members: Sequence[Member], index: int, dataset: Dataset, workdir: Workdir) -> tuple[int, Run] | None:
    """The newest state of a population and its step, for evaluation; None if it was never trained."""
    configs = [member.config for member in members]
    program = population.program(configs, dataset, population.build(configs, dataset))
    checkpoints = Checkpoints(workdir.checkpoints(index), configs[0].train.keep)
    return checkpoints.restore(program.shapes)
