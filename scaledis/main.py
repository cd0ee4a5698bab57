"""The command line: `python -m scaledis.main --config=configs/3dshapes.py`. console.py has a word for each mode."""

import contextlib
import dataclasses
import runpy
import shlex
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from scaledis import datasets, report
from scaledis.config import Data, thaw
from scaledis.core import hosts, registry, runtime
from scaledis.core.errors import UserError, end, sentences
from scaledis.datasets.base import sampling
from scaledis.planning import dry_run
from scaledis.report import describe
from scaledis.report.pictures import contact
from scaledis.sweeps import config_file, shards
from scaledis.sweeps.configs import freeze, override
from scaledis.sweeps.expand import MANY_RUNS, expand
from scaledis.sweeps.shards import WHOLE, Shard
from scaledis.training import engine, extract, loop, ray_cluster
from scaledis.training.evaluate import sample
from scaledis.training.trackers import make_tracker
from scaledis.types import Run
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir

CONFIG = config_file.define(
    "config", "A file of configs/; any of its keys can be set behind it: --config.train.steps=4000."
)
WORKDIR = flags.DEFINE_string("workdir", None, "Where everything is written. Default: runs/<name of the config file>.")
SWEEP = flags.DEFINE_multi_string(
    "sweep", [], "A sweep by name, seeds:5, or key=value,value; several, also with commas between names: their product."
)
STAGES = flags.DEFINE_list("stages", ["train", "evaluate", "report"], "What to do, of these three.")
STEP = flags.DEFINE(
    config_file.Whole(), "step", None, "Evaluate, or extract, the checkpoint of this step instead of the newest one."
)
STEPS = flags.DEFINE(
    config_file.Whole(), "steps", None, "Without --config: train what --workdir holds on to so many steps."
)
SHARD = flags.DEFINE_string(
    "shard", str(WHOLE), "i/n: this process takes populations i, i + n, ...; n such processes share one workdir."
)
ENGINE = flags.DEFINE_string("engine", "local", "What trains the populations: this process (local), or ray.")
DISTRIBUTED = flags.DEFINE_bool("distributed", False, "One of several processes that train each population together.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "host:port of the first process, where no cluster is found.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes there are.")
PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0.")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the runs, their programs, memory and time; nothing is compiled.")
YES = flags.DEFINE_bool("yes", False, f"Train more than {MANY_RUNS:,} runs.")
EXTEND = flags.DEFINE_bool("extend", False, "Train on to more steps although a schedule or stages change with them.")
RESTART = flags.DEFINE_bool("restart", False, "Begin again at step 0 where no checkpoint can be used any more.")
TRACK = flags.DEFINE_list("track", [], "Follow the runs in these too: tensorboard, wandb.")
LIST = flags.DEFINE_bool("list", False, "Print all methods, data sets, metrics, estimators and sweeps, and stop.")
PREPARE = flags.DEFINE_string("prepare", None, "A data set: download it or take the file in its place, verify, write.")
EXTRACT = flags.DEFINE_string("extract", None, "A run of --workdir: write it as a work directory of its own.")
TO = flags.DEFINE_string("to", None, "The new directory of --extract.")
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where --prepare and --describe=<data set> look. Default: data.directory."
)
DESCRIBE = flags.DEFINE_string(
    "describe", None, "A method, metric or estimator: print what it is. A data set: draw it. `network`: print its tree."
)


class Engine(NamedTuple):
    """What runs the populations of an experiment: before JAX computes, and as `engine.train_all`."""

    prepare: Callable[[], None]
    train_all: Callable[..., engine.Groups]


ENGINES = {
    "local": Engine(lambda: None, engine.train_all),
    "ray": Engine(ray_cluster.leave_devices, ray_cluster.train_all),
}


def main(argv: list[str]) -> None:
    """Runs the mode that the flags name. A UserError is shown as a sentence; any other exception is a traceback."""
    with sentences(), _hosts(), sentences():  # one of several processes says its error before it ends the others
        if argv[1:]:
            raise UserError(f"Arguments {argv[1:]} are not understood; every flag is --name=value.")
        modes: dict[str, tuple[Any, Callable[[], None]]] = {
            "list": (LIST.value, print_list),
            "prepare": (PREPARE.value, prepare),
            "describe": (DESCRIBE.value, print_description),
            "extract": (EXTRACT.value, extract_run),
            "dry_run": (DRY_RUN.value, print_plan),
        }
        chosen = [run for asked, run in modes.values() if asked]
        (chosen or [run_stages])[0]()


def print_list() -> None:
    """--list"""
    print(describe.everything(_namespace()))


def prepare() -> None:
    """--prepare=DATASET"""
    name, data = str(PREPARE.value), _data()
    registry.check("--prepare", name, datasets.names())
    dataset = datasets.load(name, _data_dir(), path=data.path, download=True, accept_checksum=data.accept_checksum)
    print(describe.dataset(dataset))


def print_description() -> None:
    """--describe=NAME"""
    name = str(DESCRIBE.value)
    if name == describe.NETWORK:
        _, runs = _experiment(_workdir())
        print(describe.tree(runs[0].config, sampling.load_dataset(runs[0].config.data)))
    elif name in datasets.names():
        dataset = datasets.load(name, _data_dir(), path=_data().path, resolution=_data().resolution)
        print(contact.write(dataset, Path(f"{name}.png")))
    else:
        print(describe.anything(name, _namespace()))


def extract_run() -> None:
    """--extract=RUN"""
    if not TO.value:
        raise UserError("--to: missing; give the directory that the run is written to.")
    extract.extract(_workdir().root, str(EXTRACT.value), TO.value, step=STEP.value)
    print(f"{EXTRACT.value} is in {TO.value}; `scaledis train --workdir={TO.value}` goes on with it.")


def print_plan() -> None:
    """--dry_run"""
    workdir = _workdir()
    _, runs = _experiment(workdir)
    _check(runs)
    print(dry_run.report(runs, workdir))


def run_stages() -> None:
    """Train, evaluate and report."""
    for stage in STAGES.value:
        registry.check("--stages", stage, ["train", "evaluate", "report"])
    engine = registry.choose("--engine", ENGINE.value, ENGINES)
    engine.prepare()
    workdir, shard = _workdir(), shards.parse(SHARD.value)
    base, runs = _experiment(workdir)
    if "train" not in STAGES.value:
        look(workdir, runs, shard)
        return
    if len(runs) > MANY_RUNS and not YES.value:
        raise UserError(f"--sweep: it gives {len(runs):,} runs; --dry_run says what they take, and --yes trains them.")
    _check(runs)
    with workdir.locked(shard) if hosts.first() else contextlib.nullcontext(), runtime.stopping() as stop:
        trackers = [make_tracker(name, workdir) for name in TRACK.value if hosts.first()]
        try:
            groups = engine.train_all(
                workdir,
                base,
                runs,
                stop=stop,
                extend=EXTEND.value,
                restart=RESTART.value,
                trackers=trackers,
                shard=shard,
                evaluate="evaluate" in STAGES.value and STEP.value is None,
            )
        finally:
            for tracker in trackers:
                tracker.close()
        _look(workdir, groups, stop, shard)


def _check(runs: list[Run]) -> None:
    """Says what cannot be built, or cannot be scored, before anything trains."""
    loop.check([run.config for run in runs])
    for config in {(run.config.data, run.config.evaluate): run.config for run in runs}.values():
        sample(sampling.load_dataset(config.data), config)


def look(workdir: Workdir, runs: list[Run], shard: Shard) -> None:
    """Evaluates and reports what the directory holds; a trainer may be at work in it."""
    if not workdir.groups():
        raise UserError(f"workdir: {workdir.root} holds no experiment (no plan.json); train it first.")
    known = {run.name: run for run in runs}

    def found(name: str) -> Run:
        """The run as the command has it; one that only the directory has is scored as --config says."""
        if name in known:
            workdir.check_same(known[name], extend=True)
            return known[name]
        held = workdir.read_config(name)
        asked = freeze(CONFIG.value).evaluate if CONFIG.value else held.evaluate
        return Run(name, dataclasses.replace(held, evaluate=asked))

    with runtime.stopping() as stop:
        _look(workdir, workdir.populations(found), stop, shard)


def _look(workdir: Workdir, groups: list[list[Run]], stop: Callable[[], bool], shard: Shard) -> None:
    if "evaluate" in STAGES.value:
        steps = sorted({step for index in range(len(groups)) for step in Checkpoints(workdir.checkpoints(index)).steps})
        if STEP.value is not None and STEP.value not in steps:
            raise UserError(f"--step: there is no checkpoint of step {STEP.value}; there are {steps}.")
        engine.evaluate_all(workdir, groups, stop=stop, step=STEP.value, shard=shard)
    if "report" in STAGES.value and shard.whole and hosts.alone():
        print(report.write(groups, workdir))
    elif "report" in STAGES.value and hosts.first():
        print(f"This part is done; `scaledis report --workdir={workdir.root}` reports on all that is.")


def _hosts() -> contextlib.AbstractContextManager[None]:
    """The other processes, with --distributed or a --coordinator."""
    given = COORDINATOR.value, PROCESSES.value, PROCESS.value
    together = DISTRIBUTED.value or any(value is not None for value in given)
    return hosts.joined(*given) if together else contextlib.nullcontext()


def _data_dir() -> str:
    return DATA_DIR.value or _data().directory


def _data() -> Data:
    """The section `data` of --config, or its default."""
    return freeze(CONFIG.value).data if CONFIG.value is not None else Data()


def _workdir() -> Workdir:
    if WORKDIR.value is None and not CONFIG.present:
        raise UserError("--config: missing; give --config=configs/<name>.py, or --workdir of an existing experiment.")
    return Workdir(WORKDIR.value or Path("runs") / _config_file().stem)


def _experiment(workdir: Workdir) -> tuple[Mapping[str, Any], list[Run]]:
    """What the command is, for the record, and its runs: from --config and --sweep, or from what the workdir holds."""
    if CONFIG.value is None and not CONFIG.present:
        held, runs, steps = workdir.claimed(), workdir.runs(), STEPS.value
        return held, runs if steps is None else [_longer(run, steps) for run in runs]
    if STEPS.value is not None:
        raise UserError("--steps: it is for a workdir alone; beside --config, give --config.train.steps.")
    base = CONFIG.value.to_dict() if isinstance(CONFIG.value, ConfigDict) else CONFIG.value
    freeze(base)
    sweeps = [each for given in SWEEP.value for each in ([given] if "=" in given else given.split(","))]
    return {"config": base, "sweep": sweeps, "command": _command()}, expand(base, sweeps, _namespace())


def _longer(run: Run, steps: int) -> Run:
    """The run with other steps."""
    return run._replace(config=freeze(override(thaw(run.config), {"train.steps": steps})))


def _namespace() -> Mapping[str, Any]:
    """What the config file defines, its sweeps among it."""
    return runpy.run_path(str(_config_file())) if CONFIG.value else {}


def _config_file() -> Path:
    return Path(config_flags.get_config_filename(flags.FLAGS["config"]).split(":")[0])


def _command() -> str:
    return shlex.join(["python", "-m", "scaledis.main", *sys.argv[1:]])


def _parse(argv: list[str]) -> list[str]:
    """absl's own parser, with a sentence for an unknown config key; what a config file raises keeps its traceback."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        end(error.__context__ if isinstance(error.__context__, UserError) else error)
    except config_file.Raised as raised:
        raise (raised.__cause__ or raised) from None
    except (KeyError, AttributeError) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if "ml_collections" not in frame.f_code.co_filename:
            raise  # a bug in the config file
        innermost = error.args[0] if isinstance(error.args[0], KeyError) else error
        end(f"--config: unknown key {' '.join(str(innermost.args[0]).split())}")


def run() -> None:
    """The process from its start: settings that must come before JAX computes, then the flags, then `main`."""
    runtime.prepare()
    logging.set_verbosity(logging.WARNING)  # orbax reports every file that it opens
    app.run(main, flags_parser=_parse)


if __name__ == "__main__":
    run()
