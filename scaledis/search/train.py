"""The door `scaledis.train`, which trains runs and their starts from Python."""

import contextlib
import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from scaledis.config import Config, thaw
from scaledis.core import kinds, runtime, safetensors
from scaledis.core.errors import Stopped, UserError
from scaledis.datasets import Dataset, Examples, expanded
from scaledis.datasets.base import sampling
from scaledis.model import Model
from scaledis.search import stages
from scaledis.sweeps import starts
from scaledis.sweeps.configs import refreeze
from scaledis.training import engine, hooks
from scaledis.training.engine import Job
from scaledis.training.population import Population
from scaledis.types import Run, RunState
from scaledis.workdir.layout import Workdir

Callback = Callable[[int, Mapping[str, np.ndarray]], None]  # (step, terms [R] by name)


@kinds.checked
def train(
    configs: Config | Iterable[Config],
    dataset: Dataset | Examples | None = None,
    *,
    workdir: str | Path | None = None,
    init_from: Model | str | Path | None = None,
    callback: Callback | None = None,
    extend: bool = False,
    restart: bool = False,
) -> list[Model]:
    """Trains one or several runs and returns the Model of each, in the order of the configs.

    Runs that share a program train together; on a CPU each core trains one run, if `prepare_jax` was called. For a
    config with `train.starts`, the Model is that of the start that went on from the last rung. With a `workdir`, the
    same call resumes an earlier one that was stopped; without it, nothing stays on the disk.

    Args:
      configs: from `make_config`.
      dataset: the data set of all runs; by default that of each config. A Python object with your own images
        (`datasets.Examples`) is prepared as the section `data` of the first config says.
      workdir: where states, logs and results are written.
      init_from: a model of the same network, or the folder of a saved model: all runs start from its parameters, as
        with `train.init_from` of a config. A model is first saved in the data directory.
      callback: called with (step, terms [R] by name) at every log line, in place of a population's line of progress.
      extend: whether a run of `workdir` may train further if more steps change its schedule or its stages.
      restart: whether a run begins again at step 0 if it has made progress but has no usable checkpoint.

    An interrupt (Ctrl-C, or that of a notebook's kernel) stops training at the next log line; a second one stops it at
    once.

    Raises UserError for a config that cannot run, for two equal configs, for a workdir of other runs, and if a file
    cannot be written; KeyboardInterrupt, after a checkpoint, if it was interrupted.

    >>> [model] = train(make_config("vlae", {"train.steps": 4000}), workdir="runs/mine")
    >>> model.config.method.name
    'vlae'
    """
    configs = [refreeze(each) for each in ([configs] if isinstance(configs, Config) else configs)]
    if not configs:
        raise UserError("configs: there are none.")
    sampling.load_dataset.cache_clear()  # a file may have changed since the last call
    images = sampling.prepared(dataset, configs[0].data)
    if init_from is not None:
        folders = {where: _folder(init_from, where) for where in {config.data.directory for config in configs}}
        configs = [_started(config, folders[config.data.directory]) for config in configs]
    several = [[start for _, start in starts.each(config)] for config in configs]
    runs = engine.named([start for each in several for start in each])
    engine.check(configs, images)
    if images is not None:
        for data in {config.data for config in configs}:
            sampling.warn_of_neighbors(images, data)
    models: dict[str, Model] = {}

    def keep(group: Sequence[Run], own: Dataset, population: Population, states: RunState) -> None:
        facts = sampling.facts(own, group[0].config.data)
        models.update({run.name: population.model(states, slot, facts) for slot, run in enumerate(group)})

    base = {"config": thaw(configs[0]), "sweep": [], "command": "scaledis.train"}
    beside = [hooks.make_callback(callback) if callback else hooks.make_progress, hooks.make_scores()]
    with writing(workdir) as (directory, stop):
        stages.train_all(Job(directory, base, runs, images, extend, restart, beside=beside), stop, keep)
    names = (run.name for run in runs)
    return [models[name] for each in several for name in [next(names) for _ in each] if name in models]


@contextlib.contextmanager
def writing(workdir: str | Path | None) -> Iterator[tuple[Workdir, Callable[[], bool]]]:
    """Locks a work directory, a temporary one for None, and yields it with a function that tells whether to stop.

    Raises KeyboardInterrupt if the block raises Stopped.
    """
    with contextlib.ExitStack() as held:
        directory = Workdir(held.enter_context(tempfile.TemporaryDirectory()) if workdir is None else workdir)
        stop = held.enter_context(runtime.stopping())
        held.enter_context(directory.locked())
        try:
            yield directory, stop
        except Stopped as stopped:
            then = "nothing is kept without a workdir" if workdir is None else "the same call resumes from there"
            raise KeyboardInterrupt(f"{stopped}; {then}.") from None


def _folder(source: Model | str | Path, directory: str) -> str:
    """Returns the folder of a saved model. A Model is saved below `directory`, under the checksum of its arrays."""
    if not isinstance(source, Model):
        return str(source)
    name = hashlib.sha256(safetensors.dumps(source.arrays())).hexdigest()[:16]
    folder = expanded("data.directory", directory) / "models" / name
    source.save(folder)
    return str(folder)


def _started(config: Config, folder: str) -> Config:
    """Returns the config of a run that starts from the saved model of a folder."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, init_from=folder))
