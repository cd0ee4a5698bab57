"""Train, evaluate and report: `python -m scaledis.main --config=configs/3dshapes.py --workdir=runs/3dshapes`.

The same command again resumes a run that was stopped, and does nothing where all is done.
"""

import contextlib
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from scaledis import config, describe, evaluate, platform, population, registry, report, sweep, train
from scaledis import datasets as data
from scaledis.errors import UserError
from scaledis.report import contact
from scaledis.results import Workdir, read_json, write_json
from scaledis.sweep import Member

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A file of configs/; any of its keys can be set behind it: --config.train.steps=4000."
)
WORKDIR = flags.DEFINE_string("workdir", None, "Where everything is written. Default: runs/<name of the config file>.")
SWEEP = flags.DEFINE_list(
    "sweep", [], "Sweeps of the config file or shared ones, such as seeds; several: their product."
)
STAGES = flags.DEFINE_list("stages", ["train", "evaluate", "report"], "What to do, of these three.")
LIST = flags.DEFINE_bool("list", False, "Print all methods, data sets, metrics, estimators and sweeps, and stop.")
PREPARE = flags.DEFINE_string("prepare", None, "A data set: download it or take the file in its place, verify, write.")
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where --prepare and --describe=<data set> look. Default: data.directory."
)
DESCRIBE = flags.DEFINE_string(
    "describe",
    None,
    "A method: print its equation and hyperparameters. A data set: draw its contact sheet. `network`: print its tree.",
)

STAGE_OF = {"train": train.train, "evaluate": evaluate.evaluate}


def main(argv: list[str]) -> None:
    with _clear_errors():
        if argv[1:]:
            raise UserError(f"Arguments {argv[1:]} are not understood; every flag is --name=value.")
        for stage in STAGES.value:
            registry.check("--stages", stage, [*STAGE_OF, "report"])
        if LIST.value:
            print(describe.everything(runpy.run_path(str(_config_file())) if CONFIG.value else {}))
            return
        if PREPARE.value:
            registry.check("--prepare", PREPARE.value, data.names())
            print(describe.dataset(data.load(PREPARE.value, _data_dir(), download=True)))
            return
        if DESCRIBE.value in data.names():
            print(contact.write(data.load(DESCRIBE.value, _data_dir()), Path(f"{DESCRIBE.value}.png")))
            return
        if DESCRIBE.value not in (None, describe.NETWORK):
            print(describe.method(DESCRIBE.value))
            return
        workdir = _workdir()
        base, members = _experiment(workdir)
        wanted = members[0].config.data
        dataset = data.load(wanted.name, wanted.directory, path=wanted.path, resolution=wanted.resolution)
        if DESCRIBE.value == describe.NETWORK:
            print(describe.tree(members[0].config, dataset))
            return
        for one in {(member.config.data, member.config.evaluate): member.config for member in members}.values():
            evaluate.sampled(dataset, one)  # a split that is too small is said before the training, not after it
    with _clear_errors(), workdir.locked():
        workdir.claim(base)
        groups = _populations(workdir, members)
        with train.stopping() as stop:
            for stage in STAGES.value:
                if stage == "report":
                    print(report.write(groups, dataset, workdir))
                    continue
                for index, group in enumerate(groups):
                    STAGE_OF[stage](group, index, dataset, workdir, stop)


def _data_dir() -> str:
    return DATA_DIR.value or (CONFIG.value or config.default()).data.directory


def _workdir() -> Workdir:
    if WORKDIR.value is None and CONFIG.value is None:
        raise UserError("--config: missing; give --config=configs/<name>.py, or --workdir of an existing experiment.")
    return Workdir(WORKDIR.value or Path("runs") / _config_file().stem)


def _experiment(workdir: Workdir) -> tuple[dict[str, Any], list[Member]]:
    """What identifies the experiment, and its runs: from --config and --sweep, or from what the workdir holds."""
    if CONFIG.value is None:
        return workdir.claimed(), workdir.members()
    config.freeze(CONFIG.value)
    base = CONFIG.value.to_dict()
    members = sweep.expand(base, SWEEP.value, runpy.run_path(str(_config_file())))
    return {"config": base, "sweep": SWEEP.value, "command": _command()}, members


def _config_file() -> Path:
    return Path(config_flags.get_config_filename(flags.FLAGS["config"]).split(":")[0])


def _populations(workdir: Workdir, members: list[Member]) -> list[list[Member]]:
    """The populations as a first start wrote them down, so that a resume on another machine finds its checkpoints."""
    if not workdir.plan.exists():
        for member in members:
            workdir.write_config(member)
        write_json(workdir.plan, sweep.plan(members, population.parallel(members[0].config.train.parallel)))
    by_name = {member.name: member for member in members}
    return [[by_name[name] for name in names] for names in read_json(workdir.plan)]


def _command() -> str:
    return shlex.join(["python", "-m", "scaledis.main", *sys.argv[1:]])


@contextlib.contextmanager
def _clear_errors() -> Iterator[None]:
    """What a user can mend is said in one sentence instead of a traceback."""
    try:
        yield
    except train.Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        print(f"scaledis: {error}", file=sys.stderr)
        sys.exit(2)


def _parse(argv: list[str]) -> list[str]:
    """absl's own parser, with an unknown config key as a sentence."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(f"scaledis: {error}")
    except (KeyError, AttributeError) as error:
        innermost = error.args[0] if isinstance(error.args[0], KeyError) else error  # whose text is no repr of a text
        sys.exit(f"scaledis: --config: unknown key {' '.join(str(innermost.args[0]).split())}")


def run() -> None:
    """The process from its start: settings that must come before JAX, then the flags, then `main`."""
    platform.prepare()
    logging.set_verbosity(logging.WARNING)  # orbax reports every file it opens
    app.run(main, flags_parser=_parse)


if __name__ == "__main__":
    run()
