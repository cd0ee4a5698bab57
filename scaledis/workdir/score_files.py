"""The scores of a run: a file for each way of scoring in runs/<run>/scores/, and the newest scores beside the codes."""

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scaledis import metrics
from scaledis.config import Evaluate
from scaledis.core import UserError, files
from scaledis.datasets import Dataset
from scaledis.metrics import of_models
from scaledis.types import Codes, Run
from scaledis.workdir.layout import Workdir

NEWEST, CODES = "scores.json", "codes.npz"
BASELINES = {"floor": ("noise", "untrained", "pca"), "ceiling": ("supervised",)}  # by their key of `evaluate`
WHAT = ("metrics", "chance", "floor", "ceiling")  # settings of `evaluate` that add scores; all others change scores
AGAIN = "The stage evaluate makes it again."


def path(workdir: Workdir, run: Run, step: int) -> Path:
    """Returns the file for the scores of a run at a step by its settings; later metrics are merged into it."""
    return workdir.run(run.name) / "scores" / f"step={step},{way(run.config.evaluate)}.json"


def way(settings: Evaluate) -> str:
    """Returns the settings that change a score, as text for the name of a file."""
    codes = f"{settings.train_codes}+{settings.test_codes}"
    kinds = "".join(f",{re.sub(r'[^-.=a-zA-Z0-9_]', '-', each)}" for each in settings.kinds)
    return f"split={settings.split},codes={codes},seed={settings.seed},dci={settings.dci_backend}{kinds}"


def read(workdir: Workdir, file: Path) -> dict[str, Any]:
    """Returns the scores in a file; {} where there is none. Raises UserError, naming the file, if it is damaged."""
    if not file.exists():
        return {}
    try:
        scores = workdir.read(file, "all", "diverged", "unit_kl_nats", "split", "held_out", "step")
    except UserError as error:
        raise UserError(f"{error} {AGAIN}") from error
    if not all(isinstance(scores.get(key, {}), dict) for key in ("all", "skipped", *BASELINES)):
        raise UserError(f"{file} is damaged: its scores have no names. {AGAIN}")
    return scores


def at(workdir: Workdir, run: Run, step: int) -> dict[str, Any]:
    """Returns the scores that a run has at a step by its settings; {} if there are none. Raises what `read` raises."""
    return read(workdir, path(workdir, run, step))


def newest(workdir: Workdir, name: str) -> dict[str, Any]:
    """Returns the newest scores of a run; {} if there are none. Raises what `read` raises."""
    return read(workdir, workdir.run(name) / NEWEST)


def codes(workdir: Workdir, name: str) -> dict[str, np.ndarray]:
    """Returns the arrays of a run's codes.npz, with `index` [N] of its images; {} where there is none.

    Raises UserError, naming the file, if it is damaged.
    """
    file = workdir.run(name) / CODES
    if not file.exists():
        return {}
    try:
        arrays = files.read_arrays(file, "index", *Codes._fields, "factors", needs_seal=workdir.needs_seals)
    except UserError as error:
        raise UserError(f"{error} {AGAIN}") from error
    rows = {len(np.atleast_1d(each)) for key, each in arrays.items() if key != "levels"}
    if len(rows) > 1 or arrays["mean"].shape != (*arrays["index"].shape, *arrays["levels"].shape):
        raise UserError(f"{file} is damaged: its arrays are not of the same images and units. {AGAIN}")
    return arrays


def kept(workdir: Workdir, run: Run, step: int) -> dict[str, Any]:
    """Returns the scores that a run already has at a step by its settings.

    Damaged files are printed; they will be written again.
    """
    found: dict[str, Any] = {}
    readers: list[Callable[[], Any]] = [
        lambda: found.update(at(workdir, run, step)),
        lambda: newest(workdir, run.name),
        lambda: codes(workdir, run.name),
    ]
    for reader in readers:
        try:
            reader()
        except UserError as error:
            print(error, file=sys.stderr)
    return found


def write(
    workdir: Workdir, run: Run, scores: Mapping[str, Any], codes: Codes, index: np.ndarray, factors: np.ndarray
) -> None:
    """Writes the scores to their file and as the run's newest, with the codes [N, K] of the images at `index` [N]."""
    folder, arrays = workdir.run(run.name), files.packed(index=index, **codes._asdict(), factors=factors)
    files.write_sealed(path(workdir, run, scores["step"]), scores)
    with files.writing(folder / CODES) as temporary:
        temporary.write_bytes(arrays)
        (folder / NEWEST).unlink(missing_ok=True)  # a process that ends here leaves no codes beside other scores
    files.write_sealed(folder / NEWEST, scores)


def delete(workdir: Workdir, name: str) -> None:
    """Deletes all scores of a run, and its codes."""
    folder = workdir.run(name)
    shutil.rmtree(folder / "scores", ignore_errors=True)
    for file in (NEWEST, CODES):
        (folder / file).unlink(missing_ok=True)


def is_scored(workdir: Workdir, run: Run, step: int, dataset: Dataset, best_by: str | None = None) -> bool:
    """Returns whether scores.json and codes.npz are undamaged and have all that a run's config asks for at a step.

    `best_by` is the criterion if the step is the run's best one, which the scores must name; else None.
    """
    own, last = path(workdir, run, step), workdir.run(run.name) / NEWEST
    try:
        held = read(workdir, own)
        if not held or held.get("best_by") != best_by or is_incomplete(held, run.config.evaluate, dataset):
            return False
        return last.exists() and last.read_bytes() == own.read_bytes() and bool(codes(workdir, run.name))
    except UserError:
        return False


def missing(held: Mapping[str, Any], settings: Evaluate, dataset: Dataset) -> list[str]:
    """Returns the metrics of the settings that the scores lack, or have with chance levels of fewer permutations."""
    scores = held.get("all", {})
    there = {key.partition("/")[0] for key in scores}
    skipped = {key.partition("/")[2] for key in held.get("skipped", {}) if key.startswith("all/")}

    def done(metric: str) -> bool:
        needs_model = metric not in metrics.names()  # these have no chance levels
        wanted = 0 if needs_model else metrics.spec(metric).permutations(settings.chance)
        return metric in there and scores.get(f"{metric}/permutations", 0) >= wanted

    return [metric for metric in applying(settings, dataset) if metric not in skipped and not done(metric)]


def missing_baselines(held: Mapping[str, Any], settings: Evaluate, dataset: Dataset) -> dict[str, list[str]]:
    """Returns the metrics that the scores lack for each baseline of the settings, such as {"floor/noise": ["mig"]}.

    Baselines that lack no metric are left out. Metrics of models have no baselines, since these only encode.
    """
    wanted = [each for each in settings.metrics if dataset.factor_names and each in metrics.names()]
    found, skipped = {}, held.get("skipped", {})
    for where in [f"{kind}/{name}" for kind in asked(settings) for name in BASELINES[kind]]:
        kind, name = where.split("/")
        there = {key.partition("/")[0] for key in held.get(kind, {}).get(name, {})}
        lacking = [each for each in wanted if each not in there and f"{where}/{each}" not in skipped]
        if lacking and where not in skipped:
            found[where] = lacking
    return found


def asked(settings: Evaluate) -> list[str]:
    """Returns the kinds of baselines that the settings ask for."""
    return [kind for kind in BASELINES if getattr(settings, kind)]


def is_incomplete(held: Mapping[str, Any], settings: Evaluate, dataset: Dataset) -> bool:
    """Returns whether the scores lack anything that the settings ask for."""
    return bool(missing(held, settings, dataset) or missing_baselines(held, settings, dataset))


def applying(settings: Evaluate, dataset: Dataset) -> list[str]:
    """Returns the metrics of the settings that apply to a data set: without factors only those of models."""
    return [each for each in settings.metrics if dataset.factor_names or each in of_models.names()]


def merged(held: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the new scores, and those that only the older ones have."""
    both = [key for key in new if isinstance(new[key], dict) and isinstance(held.get(key), dict)]
    return {**held, **new, **{key: merged(held[key], new[key]) for key in both}}
