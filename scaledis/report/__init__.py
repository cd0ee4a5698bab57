"""The page that a work directory ends in: scores, which level learned what, traversals, losses, reconstructions."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from scaledis import config as config_schema
from scaledis import evaluate, input_pipeline, runtime, version
from scaledis.checkpoint import Checkpoints
from scaledis.config import Config
from scaledis.datasets import Dataset
from scaledis.errors import UserError
from scaledis.metrics import entropy, information
from scaledis.population import Model, Population
from scaledis.report import figures, page, traversals
from scaledis.report.figures import Summary
from scaledis.sweep import Run
from scaledis.workdir import Workdir, read_json, read_records, write_bytes

SCORES = {"dci/disentanglement": "DCI-D", "dci/completeness": "DCI-C", "mig/mig": "MIG", "dci/informativeness": "DCI-I"}
DRAWN = 4  # runs that get traversals and heat maps: the first seed of each of the first settings
RECONSTRUCTED = 10  # images
MANY = 6  # values of a fact that are listed


def write(groups: Sequence[Sequence[Run]], workdir: Workdir) -> str:
    """Writes report/index.html and its pictures from the newest checkpoints and scores; returns the table of scores.

    `groups` are the populations in the order of the plan. Raises UserError if no run has been trained.
    """
    runs = [run for group in groups for run in group]
    settings = setting_names(runs)
    summaries = [
        summary for index, group in enumerate(groups) for summary in summarize(group, index, settings, workdir)
    ]
    if not summaries:
        raise UserError(f"workdir: {workdir.root} holds no trained run to report on.")
    drawn = [summary for summary in summaries if summary.traversals is not None]
    names = " and ".join(dict.fromkeys(summary.dataset for summary in summaries))
    pictures = {
        "traversals": (
            traversals.sheet(drawn, names),
            "Each row moves one unit from -3 to 3 and leaves the others at the posterior mean of one image.",
        ),
        "mutual_information": (
            figures.mutual_information(drawn, names),
            "Mutual information of each unit with each factor, as a share of the factor's entropy.",
        ),
        "losses": (
            figures.losses(summaries, names),
            "Terms of the objective, nats per image, means over the steps since the line before.",
        ),
        "reconstructions": (traversals.reconstructions(drawn, names), "Images and their reconstructions."),
    }
    shown = {name: (_save(figure, name, workdir), caption) for name, (figure, caption) in pictures.items()}
    backend = _listed(summary.backend for summary in summaries if summary.backend)
    html = page.render(
        f"scaledis: {workdir.root.name}",
        names,
        summaries,
        [page.Picture(png, caption) for png, caption in shown.values()],
        levels=[level for summary in summaries for level in _levels(summary, workdir)],
        facts=facts(runs, summaries),
        command=workdir.claimed()["command"],
        config=common([run.config for run in runs]),
        backend=backend,
    )
    page.write(workdir.report / "index.html", html)
    return f"{page.table(summaries, names, backend)}\n\n{workdir.report / 'index.html'}"


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


def facts(runs: Sequence[Run], summaries: Sequence[Summary]) -> dict[str, str]:
    """What was trained and scored, for the head of the page; where runs differ, all values."""
    configs = [run.config for run in runs]
    return {
        "Images": _listed(f"{summary.images:,}" for summary in summaries),
        "Steps": _listed(f"{config.train.steps:,} of batch {config.train.batch}" for config in configs),
        "Seeds": _listed(config.seed for config in configs),
        "Codes": _listed(summary.codes for summary in summaries if summary.codes),
        "Split": _listed(summary.split for summary in summaries if summary.split),
        "Machine": f"{runtime.machine()}; JAX {jax.__version__}",
        "Version": " ".join(filter(None, [version.VERSION, version.commit()])),
        "Date": date.today().isoformat(),
    }


def common(configs: Sequence[Config]) -> dict[str, Any]:
    """The keys in which all configs agree, with their values."""
    flat = [config_schema.flatten(config_schema.thaw(config)) for config in configs]
    return {key: value for key, value in flat[0].items() if all(one.get(key) == value for one in flat)}


def _words(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _listed(values: Iterable[object]) -> str:
    """The different values, in order, as text."""
    different = [str(value) for value in dict.fromkeys(values)]
    more = f" and {len(different) - MANY} more" if len(different) > MANY else ""
    return ", ".join(different[:MANY]) + more


def _save(figure: Figure, name: str, workdir: Workdir) -> bytes:
    png = figures.png(figure)
    write_bytes(workdir.report / f"{name}.png", png)
    return png


def summarize(group: Sequence[Run], index: int, settings: Mapping[str, str], workdir: Workdir) -> list[Summary]:
    """What the figures need of every run of population `index`; none if it was never trained.

    Only the first run of each of the first settings is drawn: decoding a large sweep would take long.
    """
    checkpoints = Checkpoints(workdir.checkpoints(index))
    if not checkpoints.steps:
        return []
    dataset = input_pipeline.load_dataset(group[0].config.data)
    known = input_pipeline.facts(dataset, group[0].config.data)
    for run in group:
        input_pipeline.check_same(workdir.dataset_of(run.name), known, run.name)
    firsts: dict[str, str] = {}
    for name, setting in settings.items():
        firsts.setdefault(setting, name)
    drawn = set(list(firsts.values())[:DRAWN])
    found = None
    if drawn & {run.name for run in group}:
        population = Population([run.config for run in group], input_pipeline.spec_of(dataset, group[0].config.data))
        restored = checkpoints.restore_newest(population.shapes)
        found = (population, restored[1]) if restored else None
    return [
        _summary(run, slot, settings[run.name], run.name in drawn and found, dataset, workdir)
        for slot, run in enumerate(group)
    ]


def summary_of(run: Run, setting: str, dataset: Dataset, workdir: Workdir) -> Summary:
    """What is known of a run without its model and its scores."""
    return Summary(
        name=run.name,
        setting=setting,
        dataset=dataset.name,
        images=dataset.size,
        factor_names=dataset.factor_names,
        allocation=run.config.model.allocation,
        records=read_records(workdir.run(run.name) / "metrics.jsonl"),
    )


def _summary(run: Run, slot: int, setting: str, drawn: Any, dataset: Dataset, workdir: Workdir) -> Summary:
    summary = summary_of(run, setting, dataset, workdir)
    if drawn:
        population, states = drawn
        summary = draw(summary, population.model(states, slot), dataset, run.config)
    return _scored(summary, dataset, workdir)


def draw(summary: Summary, model: Model, dataset: Dataset, config: Config) -> Summary:
    """The summary with traversals and reconstructions of its model."""
    index, _ = evaluate.sample(dataset, config)
    originals = dataset.images(index[-RECONSTRUCTED:])
    mean = model.encode(originals).mean
    swept = traversals.codes(mean[0])
    images = model.decode(swept.reshape(-1, swept.shape[-1]))
    return summary._replace(
        traversals=images.reshape(*swept.shape[:2], *dataset.image_shape),
        originals=originals,
        reconstructions=model.decode(mean),
    )


def _scored(summary: Summary, dataset: Dataset, workdir: Workdir) -> Summary:
    """The summary with its scores, and its units' KL and mutual information, where it was evaluated."""
    folder = workdir.run(summary.name)
    if not (folder / "scores.json").exists():
        return summary
    scores = read_json(folder / "scores.json", "all", "diverged", "unit_kl_nats", "split", "held_out", "step")
    kl = scores["unit_kl_nats"]
    summary = summary._replace(
        scores=_titled(scores["all"]),
        diverged_at=scores["diverged"],
        kl=None if kl is None else np.asarray(kl),
        split=f"codes of {scores['split']!r}, {scores['held_out']:.0%} held out, at step {scores['step']:,}",
        backend=scores["all"].get("dci/backend", ""),
    )
    if "train_codes" in scores:
        summary = summary._replace(
            codes=f"{scores['train_codes']:,} train, {scores['test_codes']:,} test, posterior means"
        )
    if not dataset.factor_names or kl is None or not (folder / "codes.npz").exists():
        return summary
    index, mean = _codes(folder / "codes.npz")
    factors = dataset.factors(index)
    return summary._replace(shares=information(mean, factors) / np.maximum(entropy(factors), 1e-12))


def _codes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images and their codes. Raises UserError, naming the file, if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as codes:
            return codes["index"], codes["mean"]
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged: {error}. The stage evaluate makes it again.") from error


def _levels(summary: Summary, workdir: Workdir) -> list[Summary]:
    """The run once for each level, top to bottom, with the scores of that level's units alone."""
    path = workdir.run(summary.name) / "scores.json"
    scores = read_json(path) if path.exists() else {}
    names = [f"level{level}" for level in range(len(summary.allocation), 0, -1) if f"level{level}" in scores]
    return [
        summary._replace(
            name=f"{summary.name}, {name}", setting=f"{summary.setting}, {name}", scores=_titled(scores[name])
        )
        for name in names
    ]


def _titled(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores that are one number: the papers' under their names there, then every other."""
    known = {title: scores[key] for key, title in SCORES.items() if key in scores}
    others = {}
    for key, value in scores.items():
        metric = key.partition("/")[0]
        if metric not in ("dci", "mig") and metric not in others and isinstance(value, float):
            others[metric] = (key, value)  # the first key of a metric is its headline
    return known | {key: value for key, value in others.values()}
