"""The scores of a run as files: a file for each way of scoring in runs/<run>/scores/, the newest beside its codes."""

import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scaledis import metrics, model_metrics, registry
from scaledis.config import Evaluate
from scaledis.datasets import Dataset
from scaledis.errors import UserError
from scaledis.files import read_json, write_arrays, write_json
from scaledis.metrics.shared.scoring import permutations
from scaledis.sweep import Run
from scaledis.types import Codes
from scaledis.workdir import Workdir


def path(workdir: Workdir, run: Run, step: int) -> Path:
    """The file of the scores that the run's settings make at a step; metrics are merged in it."""
    how = run.config.evaluate
    codes = f"{how.train_codes}+{how.test_codes}"
    name = f"step={step},split={how.split},codes={codes},seed={how.seed},dci={how.dci_backend}.json"
    return workdir.run(run.name) / "scores" / name


def read(file: Path) -> dict[str, Any]:
    """The scores in a file; {} where there is none, or where it is damaged, so that it is made again."""
    if not file.exists():
        return {}
    try:
        scores = read_json(file, "all", "step", "dataset", "skipped", "unit_kl_nats", "diverged")
        if isinstance(scores["all"], dict) and isinstance(scores["skipped"], dict):
            return scores
        print(f"{file} is damaged. It is made again.", file=sys.stderr)
    except UserError as error:
        print(f"{error} It is made again.", file=sys.stderr)
    return {}


def write(
    workdir: Workdir, run: Run, scores: Mapping[str, Any], codes: Codes, index: np.ndarray, factors: np.ndarray
) -> None:
    """The scores as a file of their own and as the run's newest, with the codes [N, K] of the images at `index` [N]."""
    folder = workdir.run(run.name)
    write_arrays(folder / "codes.npz", index=index, **codes._asdict(), factors=factors)
    write_json(path(workdir, run, scores["step"]), scores)
    write_json(folder / "scores.json", scores)


def is_scored(workdir: Workdir, run: Run, step: int, dataset: Dataset) -> bool:
    """Whether scores.json and codes.npz are what the run's config asks for, at a step."""
    own, folder = path(workdir, run, step), workdir.run(run.name)
    held = read(own)
    if not held or missing(held, run.config.evaluate, dataset):
        return False
    newest = folder / "scores.json"
    return newest.exists() and newest.read_bytes() == own.read_bytes() and _is_archive(folder / "codes.npz")


def missing(held: Mapping[str, Any], settings: Evaluate, dataset: Dataset) -> list[str]:
    """The metrics that are neither skipped nor among the scores with chance levels of as many permutations as asked."""
    scores = held.get("all", {})
    there = {key.partition("/")[0] for key in scores}
    skipped = {key.partition("/")[2] for key in held.get("skipped", {}) if key.startswith("all/")}

    def done(metric: str) -> bool:
        return metric in there and scores.get(f"{metric}/permutations", 0) >= _permutations(metric, settings)

    return [metric for metric in applying(settings, dataset) if metric not in skipped and not done(metric)]


def _permutations(metric: str, settings: Evaluate) -> int:
    """How many permutations of the factors' rows the settings ask of a metric; 0 for one of models."""
    known = metric in metrics.names()
    return permutations(registry.module("metrics", metrics, metric), settings.chance) if known else 0


def applying(settings: Evaluate, dataset: Dataset) -> list[str]:
    """The metrics that are asked for: without factors only those of models, of which some need none."""
    return [each for each in settings.metrics if dataset.factor_names or each in model_metrics.names()]


def merged(held: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The newer scores with those of metrics that only the older ones have."""
    groups = {
        key: held[key] | new[key] for key in new if isinstance(new[key], dict) and isinstance(held.get(key), dict)
    }
    return {**new, **groups}


def _is_archive(file: Path) -> bool:
    """Whether a .npz file is there and whole."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile):
        return False
