"""Results as a table with a row for each run: one Parquet file for a population, made from the files of its runs.

results/<population>.parquet     written when the population is scored, whole or not at all

A file may be written while its population still trains; it is read until there is a newer checkpoint. Dropped runs and
the trials of a search change while runs train, so their columns are added when the table is read.
"""

import io
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas
import pyarrow
from pyarrow import parquet

from scaledis import config as config_schema
from scaledis.config import Config
from scaledis.core import UserError
from scaledis.core.files import BLANK, has_seal, read_bytes, sealed, write_bytes
from scaledis.workdir import log, score_files, trials
from scaledis.workdir.checkpoint import Checkpoints, Damaged
from scaledis.workdir.layout import Workdir

KEYS, SEAL = b"keys", b"seal"  # entries of a file's metadata: the columns that are keys of the config, its checksum
DEFAULTS = config_schema.flatten(config_schema.thaw(Config()))
PER_LEVEL = "_per_level"
MADE = ("seconds", "device", "jax")  # columns from a checkpoint's manifest
TRIAL, STATE, OBJECTIVE = "trial", "trial_state", "objective/"  # columns of a search; the last one before a name
SCORED = ("split", "train_codes", "test_codes", "best_by", "version", "commit")  # columns from a run's scores


def write(directory: Workdir, index: int, names: Sequence[str]) -> None:
    """Writes the rows of population `index`, the runs `names`, once all of them have scores."""
    if all((directory.run(name) / "scores.json").exists() for name in names):
        write_rows(directory, index, *rows(directory, index, names))


def write_rows(directory: Workdir, index: int, found: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
    """Writes the rows of population `index`; `keys` are the columns that are keys of the config."""
    names = dict.fromkeys(name for row in found for name in row)
    table = pyarrow.table({name: _of_one_type([row.get(name) for row in found]) for name in names})
    file = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata({KEYS: json.dumps(list(keys)), SEAL: json.dumps(BLANK)}), file)
    write_bytes(directory.results(index), sealed(file.getvalue()))


def read(directory: Workdir) -> tuple[pandas.DataFrame, list[str]]:
    """Returns all rows of a work directory, in the order of the plan, and the columns that are keys of the config.

    Rows whose file is missing, damaged or of other steps are read from the files of the runs. Those of a search are in
    the order of its trials (`with_trials`). Raises UserError for a directory without an experiment, and for a damaged
    file of a run.
    """
    groups, tried = directory.groups(), trials.read(directory.trials)
    if not groups and not (tried and tried.trials):
        raise UserError(f"workdir: {directory.root} holds no experiment.")
    there = {path.name for path in directory.results(0).parent.glob("*.parquet")}
    by_schema: dict[str, list[pyarrow.Table]] = {}
    found = []
    for index, names in enumerate(groups):
        if not names:
            continue  # its runs went on elsewhere from a rung
        table = read_file(directory, index, names) if directory.results(index).name in there else None
        if table is None:
            part, keys = rows(directory, index, names)
            found.append((pandas.DataFrame(part), keys))
        else:
            by_schema.setdefault(str(table.schema), []).append(table)
    found += [(pyarrow.concat_tables(same).to_pandas(), _keys(same[0])) for same in by_schema.values()]
    table, keys = joined(found or [(pandas.DataFrame(columns=["run"]), [])])
    order = [name for names in groups for name in names]
    table = table.set_index("run").reindex(order).reset_index()
    dropped = directory.dropped()
    table["dropped_at"] = pandas.array([dropped.get(name) for name in order], "float64")
    return with_trials(table, keys, tried, directory.claimed()["config"]) if tried else (table, keys)


def with_trials(
    table: pandas.DataFrame, keys: list[str], tried: trials.Trials, base: Mapping[str, Any]
) -> tuple[pandas.DataFrame, list[str]]:
    """Returns a table with the columns of a search and a row for each trial that has none, and the keys of the config.

    The columns are `TRIAL`, `STATE`, and `OBJECTIVE` with the name of each objective. A trial without a run in the
    table, because it could not be built, has a row without a name, whose keys are those of the trial, else what all
    runs have, else those of the base config.
    """
    names, of_run = [*table["run"]], tried.of_run
    alone = [trial for trial in tried.trials if set(names).isdisjoint(trial.runs)]
    if alone:
        alike = {key: table[key].iloc[0] for key in keys if names and table[key].nunique(dropna=False) == 1}
        params = [{key: _plain(value) for key, value in trial.params.items()} for trial in alone]
        known = of_config(base) | alike
        every = list(dict.fromkeys([*(keys or known), *(key for each in params for key in each)]))
        told = {"run": None, "step": None, "diverged": None, "dropped_at": None, "sealed": True}
        rows = [told | {key: each.get(key, known.get(key)) for key in every} for each in params]
        table, keys = joined([*([(table, keys)] if names else []), (pandas.DataFrame(rows), every)])
    of_row = [*(of_run.get(name) for name in names), *alone]
    return table.assign(**_columns(tried, of_row)).sort_values(TRIAL, kind="stable", ignore_index=True), keys


def _columns(tried: trials.Trials, of_row: Sequence[trials.Trial | None]) -> dict[str, Any]:
    """Returns the columns of a search from the trial of each row."""
    columns: dict[str, Any] = {
        TRIAL: pandas.array([each and each.number for each in of_row], "Int64"),
        STATE: [each and each.state for each in of_row],
    }
    for n, objective in enumerate(tried.objectives):
        values = [each.values[n] if each and each.values else math.nan for each in of_row]
        columns[OBJECTIVE + objective.by] = pandas.array(values, "float64")
    return columns


def rows(directory: Workdir, index: int, names: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the rows of runs of population `index` from their files, and the columns that are keys of the config."""
    held = [directory.held(name, "method", "train") for name in names]  # their methods need not be registered here
    configs = [of_config({key: value for key, value in each.items() if key != "dataset"}) for each in held]
    checkpoints = Checkpoints(directory.checkpoints(index))
    reached, made = checkpoints.newest or 0, _made(checkpoints)
    found = [_row(directory, name, reached) | made for name in names]
    values = [config | row for config, row in zip(configs, found, strict=True)]
    return values, list(dict.fromkeys(key for config in configs for key in config))


def of_config(held: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config by dotted key, with defaults for keys that it lacks, and tuples as JSON."""
    return {key: _plain(value) for key, value in (DEFAULTS | config_schema.flatten(held)).items()}


def joined(found: Iterable[tuple[pandas.DataFrame, Sequence[str]]]) -> tuple[pandas.DataFrame, list[str]]:
    """Returns the tables one below the other. A key of the config that a table lacks has its default there."""
    defaults = of_config({})
    parts = []
    for table, keys in found:
        missing = {key: value for key, value in defaults.items() if key not in keys}
        parts.append((table.assign(**missing), [*keys, *missing]))
    columns = dict.fromkeys(column for table, _ in parts for column in table)
    table = pandas.concat([table.dropna(axis=1, how="all") for table, _ in parts], ignore_index=True)
    return table.reindex(columns=list(columns)), list(dict.fromkeys(key for _, keys in parts for key in keys))


def read_file(directory: Workdir, index: int, names: Sequence[str]) -> pyarrow.Table | None:
    """Returns the file of population `index`, the runs `names`; None if it is missing, damaged or of another step.

    Its step must be that of the newest checkpoint, unless all checkpoints were deleted. Damage is printed; the rows can
    be made again from the files of the runs.
    """
    path = directory.results(index)
    if not path.exists():
        return None
    try:
        data = read_bytes(path, directory.needs_seals)
        table = parquet.ParquetFile(pyarrow.BufferReader(data)).read()
        table = table.replace_schema_metadata({KEYS: table.schema.metadata[KEYS]})  # files of one schema are alike
        if (held := table["run"].to_pylist()) != names:
            raise UserError(f"{path} is of other runs than population {index} of the plan: {', '.join(held[:5])}.")
        if strange := {*_keys(table)} - {*table.column_names}:
            raise UserError(f"{path} is damaged: it lacks {', '.join(map(str, strange))}.")
        newest = Checkpoints(directory.checkpoints(index)).newest
        if newest is not None and {*table["step"].to_pylist()} != {newest}:
            return None  # its population was still training
    except (UserError, pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        damage = error if isinstance(error, UserError) else f"{path} is damaged: {error}."
        print(f"{damage} Its rows are made again from the files of the runs.", file=sys.stderr)
        return None
    if has_seal(data):
        return table
    kept = table.drop_columns(["sealed"]) if "sealed" in table.column_names else table
    return kept.append_column("sealed", pyarrow.array([False] * len(kept)))


def is_final(directory: Workdir, index: int, names: Sequence[str], step: int) -> bool:
    """Returns whether population `index` has rows of its end, at step `step`, and its checkpoints were deleted."""
    if Checkpoints(directory.checkpoints(index)).newest is not None or not directory.results(index).exists():
        return False
    found = read_file(directory, index, names)
    ended = found.select(["step", "diverged"]).to_pylist() if found else []
    return bool(ended) and all(row["step"] == step or row["diverged"] is not None for row in ended)


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _keys(table: pyarrow.Table) -> list[str]:
    return json.loads(table.schema.metadata[KEYS])


def _of_one_type(values: list[Any]) -> list[Any]:
    """Returns the values of a column, all as text if some of them are."""
    if len({isinstance(value, str) for value in values if value is not None}) < 2:
        return values
    return [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]


def _made(checkpoints: Checkpoints) -> dict[str, Any]:
    """Returns the training time of a population and its machine, from its newest checkpoint."""
    manifest: dict[str, Any] = {}
    if checkpoints.newest is not None:
        try:
            manifest = checkpoints.manifest(checkpoints.newest)
        except Damaged as damage:
            print(f"{damage}: how long training took is not known.", file=sys.stderr)
    return {name: manifest.get(name) for name in MADE}


def _row(directory: Workdir, name: str, reached: int) -> dict[str, Any]:
    row: dict[str, Any] = {"run": name, "step": None, "diverged": None, "sealed": directory.is_sealed(name)}
    records = log.read_records(directory.run(name) / "metrics.jsonl", reached, needs_seals=directory.needs_seals)
    if records:
        row |= {"step": records[-1]["step"], "diverged": records[-1].get("diverged")}
        row |= {f"final/{key}": value for key, value in records[-1].items() if key not in ("step", "diverged")}
    facts = directory.dataset_of(name)
    row |= {"dataset": facts.get("name"), "fingerprint": facts.get("fingerprint")}
    scores = score_files.newest(directory, name)
    for group, values in scores.items():
        if group in score_files.BASELINES:
            for baseline, own in values.items():
                row |= _numbers(f"{group}/{baseline}/", own)
        elif isinstance(values, dict) and group != "skipped":
            row |= _numbers("" if group == "all" else f"{group}/", values) | _of_levels(values)
    row |= {"scored_step": scores.get("step")} | {key: scores.get(key) for key in SCORED}
    row["dataset"] = row["dataset"] or scores.get("dataset")
    return row


def _numbers(prefix: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{key}": value for key, value in scores.items() if isinstance(value, int | float)}


def _of_levels(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Expands lists with a number for each level, top first, into columns level4/<score>, level3/<score>, ..."""
    found = {key.removesuffix(PER_LEVEL): value for key, value in scores.items() if key.endswith(PER_LEVEL)}
    columns = {f"level{len(each) - n}/{key}": value for key, each in found.items() for n, value in enumerate(each)}
    return {name: value for name, value in columns.items() if value is not None}
