"""From a work directory to summaries: scores and logs as they were written, pictures from the newest checkpoint."""

import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scaledis import coding, evaluate, input_pipeline
from scaledis import config as config_schema
from scaledis.checkpoint import Checkpoints
from scaledis.config import Config
from scaledis.datasets import Dataset
from scaledis.errors import UserError
from scaledis.files import read_json
from scaledis.metrics import entropy, information
from scaledis.metrics.shared.scoring import CHANCE
from scaledis.population import Model, Population
from scaledis.records import read_records
from scaledis.report.scores import PAPERS
from scaledis.report.summary import Summary
from scaledis.sweep import Run
from scaledis.workdir import Workdir

DRAWN = 64  # runs that are drawn, first seeds first
FRAMES = 13  # of a traversal that moves: steps of a half from -3 to 3
RECONSTRUCTED, SAMPLED = 10, 20  # images


def summaries(groups: Sequence[Sequence[Run]], workdir: Workdir) -> list[Summary]:
    """What is known of every run that was trained, in the order of the plan.

    At most `DRAWN` runs are drawn, the first seeds of all settings before any second one. Raises UserError if the data
    have changed or what was written is damaged.
    """
    settings = setting_names([run for group in groups for run in group])
    drawn = _drawn(settings)
    return [each for index, group in enumerate(groups) for each in _of_group(group, index, settings, drawn, workdir)]


def setting_names(runs: Sequence[Run]) -> dict[str, str]:
    """What each run is called without its seed: runs of one setting differ in the seed alone."""
    flat = {run.name: config_schema.flatten(config_schema.thaw(run.config)) for run in runs}
    keys = dict.fromkeys(key for one in flat.values() for key in one)
    differing = [key for key in keys if key != "seed" and len({repr(one.get(key)) for one in flat.values()}) > 1]
    own = {"method.name", *(key for key in differing if not key.startswith("method."))}
    by_method: dict[str, list[str]] = {}
    for name, one in flat.items():
        by_method.setdefault(one["method.name"], []).append(name)
    found = {}
    for method, names in by_method.items():
        varying = [
            key for key in differing if key not in own and len({repr(flat[name].get(key)) for name in names}) > 1
        ]
        for name in names:
            words = [
                f"{key.rpartition('.')[2]}={_words(flat[name].get(key))}"
                for key in (*sorted(own), *varying)
                if key != "method.name" and len({repr(one.get(key)) for one in flat.values()}) > 1
            ]
            found[name] = ", ".join([method, *words])
    return found


def _words(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _drawn(settings: Mapping[str, str]) -> set[str]:
    """The names of the runs that are drawn."""
    seen: Counter[str] = Counter()
    rank = {}
    for name, setting in settings.items():
        rank[name] = seen[setting]
        seen[setting] += 1
    return set(sorted(rank, key=rank.__getitem__)[:DRAWN])


def _of_group(
    group: Sequence[Run], index: int, settings: Mapping[str, str], drawn: set[str], workdir: Workdir
) -> list[Summary]:
    """The summaries of population `index`; none if it was never trained. It restores a model only to draw it."""
    checkpoints = Checkpoints(workdir.checkpoints(index))
    if not checkpoints.steps:
        return []
    dataset = input_pipeline.load_dataset(group[0].config.data)
    known = input_pipeline.facts(dataset, group[0].config.data)
    for run in group:
        input_pipeline.check_same(workdir.dataset_of(run.name), known, run.name)
    models: dict[str, Model] = {}
    if drawn & {run.name for run in group}:
        spec = input_pipeline.spec_of(dataset, group[0].config.data)
        population = Population([run.config for run in group], spec, allocation=group[0].padded)
        if restored := checkpoints.restore_newest(population.shapes):
            models = {run.name: population.model(restored[1], slot) for slot, run in enumerate(group)}
    return [
        summary(run, settings[run.name], dataset, workdir, models.get(run.name) if run.name in drawn else None)
        for run in group
    ]


def summary(run: Run, setting: str, dataset: Dataset, workdir: Workdir, model: Model | None = None) -> Summary:
    """What is known of a run: its log and its scores, and pictures where its model is given."""
    known = scored(logged(run, setting, dataset, workdir), dataset, workdir)
    return draw(known, model, dataset, run.config) if model else known


def logged(run: Run, setting: str, dataset: Dataset, workdir: Workdir) -> Summary:
    """What is known of a run without its model and its scores."""
    records = read_records(workdir.run(run.name) / "metrics.jsonl")
    return Summary(
        name=run.name,
        setting=setting,
        dataset=dataset.name,
        images=dataset.size,
        factor_names=dataset.factor_names,
        seed=run.config.seed,
        step=int(records[-1]["step"]) if records else 0,
        allocation=run.config.model.allocation,
        records=records,
    )


def draw(known: Summary, model: Model, dataset: Dataset, config: Config) -> Summary:
    """The summary with traversals [K, 13, ..], reconstructions and prior samples of its model, at the model's step."""
    index, _ = evaluate.sample(dataset, config)
    originals = dataset.images(index[-RECONSTRUCTED:])
    mean = model.encode(originals).mean
    swept = coding.traversed(mean[0], steps=FRAMES)
    prior = np.random.default_rng(0).standard_normal((SAMPLED, mean.shape[1])).astype(np.float32)
    images = model.decode(np.concatenate([swept.reshape(-1, mean.shape[1]), mean, prior]))
    moved, reconstructions, samples = np.split(images, np.cumsum([swept.shape[0] * FRAMES, len(mean)]))
    return known._replace(
        step=model.step,
        traversals=moved.reshape(*swept.shape[:2], *dataset.image_shape),
        originals=originals,
        reconstructions=reconstructions,
        samples=samples,
    )


def scored(known: Summary, dataset: Dataset, workdir: Workdir) -> Summary:
    """The summary with its scores, and its units' KL and mutual information, where it was evaluated."""
    folder = workdir.run(known.name)
    if not (folder / "scores.json").exists():
        return known
    scores = read_json(folder / "scores.json", "all", "diverged", "unit_kl_nats", "split", "held_out", "step")
    kl = scores["unit_kl_nats"]
    names = [f"level{level}" for level in range(len(known.allocation), 0, -1)]
    shown = headlines(scores["all"])
    if len(known.allocation) == 1:
        shown.pop("level", None)  # the best there is by convention, and says nothing of a flat run
    known = known._replace(
        scores=shown,
        levels={name: headlines(scores[name]) for name in names if name in scores},
        chance={name: headlines(scores[name], CHANCE) for name in ("all", *names) if name in scores},
        diverged_at=scores["diverged"],
        kl=None if kl is None else np.asarray(kl, float),  # of a unit without noise it is None, here NaN
        split=f"codes of {scores['split']!r}, {scores['held_out']:.0%} held out, at step {scores['step']:,}",
        backend=scores["all"].get("dci/backend", ""),
    )
    if "edits/changes" in scores["all"]:
        found = {key: scores["all"][f"edits/{key}"] for key in ("changes", "factor_per_unit")}
        known = known._replace(changes=np.asarray(found["changes"]), edited=tuple(found["factor_per_unit"]))
    if "train_codes" in scores:
        known = known._replace(codes=f"{scores['train_codes']:,} train, {scores['test_codes']:,} test, posterior means")
    if not dataset.factor_names or kl is None or not (folder / "codes.npz").exists():
        return known
    index, mean = _codes(folder / "codes.npz")
    factors = dataset.factors(index)
    return known._replace(shares=information(mean, factors) / np.maximum(entropy(factors), 1e-12))


def _codes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images and their codes. Raises UserError, naming the file, if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as codes:
            return codes["index"], codes["mean"]
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged: {error}. The stage evaluate makes it again.") from error


def headlines(scores: Mapping[str, Any], beside: str = "") -> dict[str, float]:
    """The scores of the papers' tables under their names there, then the first score of every other metric.

    With `beside` what stands under `<key><beside>`, such as the chance level. A score that is None is left out.
    """
    keys = {title: key for key, title in PAPERS.items()}
    metrics = {key.partition("/")[0] for key in PAPERS}
    for key, value in scores.items():
        metric = key.partition("/")[0]
        if metric not in metrics and isinstance(value, float | None):
            keys.setdefault(metric, key)
    found = {title: scores.get(f"{key}{beside}") for title, key in keys.items()}
    return {title: value for title, value in found.items() if isinstance(value, float)}
