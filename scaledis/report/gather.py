"""From a work directory to summaries: scores and logs as they were written, pictures from the newest checkpoint."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaledis.config import Config
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.metrics import entropy, information
from scaledis.metrics.shared.scoring import CHANCE
from scaledis.model import Model, traversed
from scaledis.report import settings
from scaledis.report.scores import PAPERS
from scaledis.report.summary import Summary
from scaledis.training import evaluate
from scaledis.training.load import check_data
from scaledis.training.restore import NoCheckpoint, restore
from scaledis.training.scores import kinds_of
from scaledis.types import Run
from scaledis.workdir import log, score_files, trials
from scaledis.workdir.checkpoint import Checkpoints, Damaged
from scaledis.workdir.layout import Workdir

DRAWN = 64  # runs that are drawn, first seeds first
FRAMES = 13  # of a traversal that moves: steps of a half from -3 to 3
RECONSTRUCTED, SAMPLED = 10, 20  # images


def summaries(groups: Sequence[Sequence[Run]], workdir: Workdir, drawn: int = DRAWN) -> list[Summary]:
    """Returns the summaries of all trained runs in the order of the plan; for a search, of its best trials, best first.

    Runs that were dropped at a rung are left out (`dropped`). A start that has not yet come to its rung has a setting
    of its own. At most `drawn` runs are drawn, the first seeds of all settings before any second one. A run with the
    setting, the seed and the start of an earlier one, such as a copied folder, is left out with a message. Raises
    UserError if the data have changed or a file is damaged.
    """
    left_out, tried = workdir.dropped(), trials.read(workdir.trials)
    runs = [run for group in groups for run in group if run.name not in left_out]
    named = settings.of_trials(runs, tried) if tried else settings.of_runs(runs)
    undecided = settings.undecided(runs, named)
    known = {name: setting + undecided.get(name, "") for name, setting in named.items()}
    chosen = settings.first_seeds(known, drawn)
    found: dict[tuple[str, int], Summary] = {}
    for index, group in enumerate(groups):
        for each in _of_group(group, index, known, chosen, workdir):
            first = found.setdefault((each.setting, each.seed), each)
            if first is not each:
                print(f"{each.name} is a copy of {first.name} and is left out.", file=sys.stderr)
    several = [each._replace(undecided=each.name in undecided) for each in found.values()]
    return sorted(several, key=lambda each: list(known).index(each.name)) if tried else several


def dropped(workdir: Workdir) -> dict[str, str]:
    """Returns the number of runs that were dropped at rungs, and the steps, as a fact of the page; {} without any."""
    steps = workdir.dropped().values()
    several = f"{len(steps):,} runs" if len(steps) > 1 else "1 run"
    at = f"step {' and '.join(f'{step:,}' for step in sorted({*steps}))}"
    return {"Dropped at a rung, and in no mean": f"{several} ({at})"} if steps else {}


def _of_group(
    group: Sequence[Run], index: int, names: Mapping[str, str], drawn: set[str], workdir: Workdir
) -> list[Summary]:
    """Returns the summaries of the runs of population `index` that have a setting; [] if it was never trained.

    It restores only models that are drawn. Runs whose checkpoints were deleted once they were scored have no pictures.
    """
    checkpoints = Checkpoints(workdir.checkpoints(index))
    if names.keys().isdisjoint(run.name for run in group):
        return []
    if not checkpoints.steps and not all(score_files.newest(workdir, run.name) for run in group):
        return []
    sampling.check_named(workdir.dataset_of(group[0].name), group[0].name)
    dataset = sampling.load_dataset(group[0].config.data)
    check_data(workdir, group, dataset)
    models: dict[str, Model] = {}
    if drawn & {run.name for run in group}:
        with contextlib.suppress(NoCheckpoint):  # all are damaged, which `restore` has printed
            population, states, _ = restore(workdir, index)
            models = {run.name: population.model(states, slot) for slot, run in enumerate(group)}
    reached, (machine, trained_by) = checkpoints.newest or 0, _made(checkpoints)
    shown = {name: model for name, model in models.items() if name in drawn}
    going = [run for run in group if run.name in names]
    known = [summary(run, names[run.name], dataset, workdir, shown.get(run.name), reached) for run in going]
    return [each._replace(machine=machine, trained_by=trained_by) for each in known]


def _made(checkpoints: Checkpoints) -> tuple[str, str]:
    """The machine and the code that wrote the newest checkpoint, in words; "" for what is not known."""
    with contextlib.suppress(Damaged):
        held = checkpoints.manifest(checkpoints.newest or 0)
        machine = "; JAX ".join(held[key] for key in ("device", "jax") if key in held)
        return machine, code(held) if "commit" in held else ""
    return "", ""


def code(held: Mapping[str, Any]) -> str:
    """The version and the commit of scaledis that a file holds, in words."""
    words = " ".join(filter(None, [held.get("version"), held.get("commit")]))
    return f"scaledis {words}" if words else ""


def summary(
    run: Run, setting: str, dataset: Dataset, workdir: Workdir, model: Model | None = None, reached: int = 0
) -> Summary:
    """The summary of a run that has reached a step: log, scores, and pictures if its model is given."""
    kinds = kinds_of(run.config.evaluate, dataset)
    known = scored(logged(run, setting, dataset, workdir, reached), dataset, workdir, kinds)
    return draw(known, model, dataset, run.config) if model else known


def logged(run: Run, setting: str, dataset: Dataset, workdir: Workdir, reached: int = 0) -> Summary:
    """The summary of a run without its pictures and its scores."""
    records = log.read_records(workdir.run(run.name) / "metrics.jsonl", reached, needs_seals=workdir.needs_seals)
    diverged = records[-1].get("diverged") if records else None
    return Summary(
        name=run.name,
        setting=setting,
        dataset=dataset.name,
        images=dataset.size,
        factor_names=dataset.factor_names,
        seed=run.config.seed,
        step=_kept(int(records[-1]["step"]), diverged) if records else 0,
        allocation=run.config.model.allocation,
        diverged_at=diverged,
        records=records,
        sealed=workdir.is_sealed(run.name),
    )


def draw(known: Summary, model: Model, dataset: Dataset, config: Config) -> Summary:
    """The summary with the pictures of its model, at the model's step, of the last images that its scores read."""
    index, _ = evaluate.sample(dataset, config)
    return with_pictures(known, model, dataset.images(index[-RECONSTRUCTED:]))


def with_pictures(known: Summary, model: Model, originals: np.ndarray) -> Summary:
    """The summary with reconstructions of the originals uint8 [N, H, W, C], traversals [K, 13, ..] of the first one,
    and samples from the prior, at the model's step.
    """
    mean = model.encode(originals).mean
    swept = traversed(mean[0], steps=FRAMES)
    prior = np.random.default_rng(0).standard_normal((SAMPLED, mean.shape[1])).astype(np.float32)
    images = model.decode(np.concatenate([swept.reshape(-1, mean.shape[1]), mean, prior]))
    moved, reconstructions, samples = np.split(images, np.cumsum([swept.shape[0] * FRAMES, len(mean)]))
    return known._replace(
        step=model.step,
        traversals=moved.reshape(*swept.shape[:2], *images.shape[1:]),
        originals=originals,
        reconstructions=reconstructions,
        samples=samples,
    )


def scored(known: Summary, dataset: Dataset, workdir: Workdir, kinds: Mapping[int, str] | None = None) -> Summary:
    """The summary with the scores of a run, and its units' KL and mutual information, if it was evaluated.

    `kinds` are those of factors that are not as their labels say (`evaluate.kinds`).
    """
    scores = score_files.newest(workdir, known.name)
    if not scores:
        return known
    kl, diverged = scores["unit_kl_nats"], scores["diverged"]
    names = [f"level{level}" for level in range(len(known.allocation), 0, -1)]
    shown = headlines(scores["all"])
    if len(known.allocation) == 1:
        shown.pop("level", None)  # 1 by convention for a flat run
    known = known._replace(
        scores=shown,
        levels={name: headlines(scores[name]) for name in names if name in scores},
        chance={name: headlines(scores[name], CHANCE) for name in ("all", *names) if name in scores},
        baselines={
            f"{kind}, {name}": headlines(each)
            for kind in score_files.BASELINES
            for name, each in scores.get(kind, {}).items()
        },
        scored_step=_kept(scores["step"], diverged),
        diverged_at=diverged if known.diverged_at is None else known.diverged_at,
        kl=None if kl is None else np.asarray(kl, float),  # None, for a unit without noise, becomes NaN
        split=f"codes of {scores['split']!r}, {scores['held_out']:.0%} held out, {_at(scores)}",
        scored_by=code(scores),
        backend=scores["all"].get("dci/backend", ""),
    )
    if "edits/changes" in scores["all"]:
        found = {key: scores["all"][f"edits/{key}"] for key in ("changes", "factor_per_unit")}
        known = known._replace(changes=np.asarray(found["changes"]), edited=tuple(found["factor_per_unit"]))
    if "train_codes" in scores:
        known = known._replace(codes=f"{scores['train_codes']:,} train, {scores['test_codes']:,} test, posterior means")
    codes = score_files.codes(workdir, known.name) if dataset.factor_names and kl is not None else {}
    if not codes:
        return known
    measured = shares(codes["mean"], codes["factors"], kinds)
    return known._replace(means=codes["mean"], numbers=codes["index"], shares=measured)


def _kept(step: int, diverged: int | None) -> int:
    """The step of the state that a run has at `step`; one that diverged has kept the state before that."""
    return step if diverged is None else min(step, max(diverged - 1, 0))


def _at(scores: Mapping[str, Any]) -> str:
    """The step of scores, in words; runs that are scored at their best steps have different ones."""
    best_by = scores.get("best_by")
    return f"each at its best step by {best_by}" if best_by else f"at step {scores['step']:,}"


def shares(mean: np.ndarray, factors: np.ndarray, kinds: Mapping[int, str] | None = None) -> np.ndarray:
    """The mutual information of units and factors over the factors' entropy, [K, F], of codes [N, K] and [N, F].

    It is that of MIG, with factors of the same `kinds`.
    """
    return np.asarray(information(mean, factors, kinds=kinds) / np.maximum(entropy(factors, kinds), 1e-12))


def headlines(scores: Mapping[str, Any], beside: str = "") -> dict[str, float]:
    """The scores of the papers' tables under their names there, then the first score of every other metric.

    With `beside` it gives the values of the keys `<key><beside>`, such as chance levels. Values of None are left out.
    """
    keys = {title: key for key, title in PAPERS.items()}
    metrics = {key.partition("/")[0] for key in PAPERS}
    for key, value in scores.items():
        metric = key.partition("/")[0]
        if metric not in metrics and isinstance(value, float | None):
            keys.setdefault(metric, key)
    found = {title: scores.get(f"{key}{beside}") for title, key in keys.items()}
    return {title: value for title, value in found.items() if isinstance(value, float)}
