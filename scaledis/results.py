"""What a work directory holds, for reading only: one trained run as a Model, and all runs as one table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas

from scaledis import config as config_schema
from scaledis import legacy
from scaledis.checkpoint import Checkpoints, Damaged
from scaledis.config import Config
from scaledis.errors import UserError
from scaledis.population import Model, Population, RunState
from scaledis.registry import choose
from scaledis.types import ImageSpec
from scaledis.workdir import Workdir, read_json, read_records


def load_run(workdir: str | Path, name: str | None = None, *, step: int | None = None) -> Model:
    """A trained run of a work directory, from its newest checkpoint that is not damaged or that of `step`.

    It reads only, needs no data set, and leaves out the units that pad the run in its population.

    Args:
      workdir: the directory, of this version or of 0.1.0; a trainer may be at work in it.
      name: of the run; it may be left out where there is one.
      step: of the checkpoint.

    Raises UserError for an unknown run or step, for a run that was never trained, and for a checkpoint of another
    structure.

    >>> model = load_run("runs/mine")
    >>> codes = model.encode(dataset.images(np.arange(100)))
    >>> model.decode(codes.mean).dtype
    dtype('float32')
    """
    directory = Workdir(workdir)
    groups = directory.groups()
    names = [name for group in groups for name in group]
    if not names:
        raise UserError(f"workdir: {directory.root} holds no experiment.")
    if name is None and len(names) > 1:
        raise UserError(f"name: {directory.root} holds {len(names)} runs; name one of {', '.join(names[:20])}.")
    wanted = choose("name", names[0] if name is None else name, {each: each for each in names})
    index = next(number for number, group in enumerate(groups) if wanted in group)
    population, states = load_population(directory, index, step)
    return population.model(states, groups[index].index(wanted))


def load_population(directory: Workdir, index: int, step: int | None = None) -> tuple[Population, RunState]:
    """Population `index` of the plan, from its newest checkpoint that is not damaged or that of `step`.

    Its models share their compiled functions. Raises UserError for a step that is not there, for a population that was
    never trained, and for a checkpoint of another structure.
    """
    names, checkpoints = directory.groups()[index], Checkpoints(directory.checkpoints(index))
    of = ", ".join(names)
    if not checkpoints.steps:
        raise UserError(f"workdir: {directory.root} has no checkpoint of {of}.")
    if step is not None and step not in checkpoints.steps:
        raise UserError(f"step: there is no checkpoint of step {step}; there are {checkpoints.steps}.")
    configs = [directory.read_config(each) for each in names]
    images = _image_spec(directory, names[0], configs[0], directory.checkpoints(index) / str(checkpoints.newest))
    population = Population(configs, images)
    if step is None:
        found = checkpoints.restore_newest(population.shapes)
        if found is None:
            raise UserError(f"workdir: every checkpoint of {of} in {directory.root} is damaged.")
        return population, found[1]
    try:
        return population, checkpoints.restore(population.shapes, step)
    except Damaged as damage:
        raise UserError(f"step: the checkpoint of step {step} is damaged: {damage}.") from damage


def _image_spec(directory: Workdir, name: str, config: Config, checkpoint: Path) -> ImageSpec:
    """What the run's method must know of its images, as they were written down."""
    facts = directory.dataset_of(name)
    if facts:
        return ImageSpec(tuple(facts["image_shape"]), facts["train_size"])
    return ImageSpec(
        legacy.image_shape(checkpoint, config.model.channels), 1
    )  # the count only shifts a logged constant


def load_results(workdirs: str | Path | Sequence[str | Path]) -> pandas.DataFrame:
    """One row a run of one or several work directories; those that still train are there as far as they are.

    Columns: workdir, run, every key of the config that varies (and seed), every score that is one number, of all units
    and of each level, the last terms under `final/`, step, diverged, data set, fingerprint, version, commit.

    Raises UserError where a directory holds no experiment.

    >>> table = load_results("runs/mine")
    >>> table.loc[0, "run"]
    'run'
    """
    places = [workdirs] if isinstance(workdirs, str | Path) else list(workdirs)
    rows = [row for place in places for row in _rows(Workdir(place))]
    table = pandas.DataFrame([row for row, _ in rows])
    keys = pandas.DataFrame([{key: _hashable(value) for key, value in config.items()} for _, config in rows])
    varying = [key for key in keys if key == "seed" or len(set(keys[key].map(repr))) > 1]
    table = pandas.concat([table[["workdir", "run"]], keys[varying], table.drop(columns=["workdir", "run"])], axis=1)
    return table


def _rows(directory: Workdir) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(what is known of a run, its flat config) of every run."""
    names = [name for group in directory.groups() for name in group]
    if not names:
        raise UserError(f"workdir: {directory.root} holds no experiment.")
    return [(_row(directory, name), _flat(directory, name)) for name in names]


def _flat(directory: Workdir, name: str) -> dict[str, Any]:
    """A run's config by dotted key, as it was written down; its method need not be registered here."""
    held = read_json(directory.run(name) / "config.json", "method", "train")
    held.pop("dataset", None)
    return config_schema.flatten(config_schema.thaw(Config())) | config_schema.flatten(held)


def _row(directory: Workdir, name: str) -> dict[str, Any]:
    folder = directory.run(name)
    row: dict[str, Any] = {"workdir": str(directory.root), "run": name}
    records = read_records(folder / "metrics.jsonl")
    if records:
        row |= {"step": records[-1]["step"], "diverged": records[-1].get("diverged")}
        row |= {f"final/{key}": value for key, value in records[-1].items() if key not in ("step", "diverged")}
    facts = directory.dataset_of(name)
    row |= {"dataset": facts.get("name"), "fingerprint": facts.get("fingerprint")}
    if (folder / "scores.json").exists():
        scores = read_json(folder / "scores.json")
        for group, values in scores.items():
            if isinstance(values, dict) and group != "skipped":
                prefix = "" if group == "all" else f"{group}/"
                row |= {f"{prefix}{key}": value for key, value in values.items() if isinstance(value, int | float)}
        row |= {key: scores.get(key) for key in ("split", "train_codes", "test_codes", "version", "commit")}
        row["dataset"] = row["dataset"] or scores.get("dataset")
    return row


def _hashable(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
