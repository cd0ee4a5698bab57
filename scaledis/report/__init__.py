"""The page that a work directory ends in: scores, which level learned what, traversals, losses, reconstructions."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from scaledis import config as configs
from scaledis import evaluate, platform, population, results, train
from scaledis.datasets import Dataset
from scaledis.errors import UserError
from scaledis.metrics import mig
from scaledis.report import figures, page, traversals
from scaledis.report.figures import Run
from scaledis.results import Workdir
from scaledis.sweep import Member

SCORES = {"dci/disentanglement": "DCI-D", "dci/completeness": "DCI-C", "mig/mig": "MIG", "dci/informativeness": "DCI-I"}
DRAWN = 4  # runs that get traversals and heat maps: the first seed of each of the first methods
RECONSTRUCTED = 10  # images


def write(groups: Sequence[Sequence[Member]], dataset: Dataset, workdir: Workdir) -> str:
    """Writes report/index.html and its pictures from the newest checkpoints and scores; returns the table of scores.

    `groups` are the populations in the order of the plan. Raises UserError if no run has been trained.
    """
    runs = [run for index, group in enumerate(groups) for run in runs_of(group, index, dataset, workdir)]
    if not runs:
        raise UserError(f"workdir: {workdir.root} holds no trained run to report on.")
    firsts = list({run.method: run for run in reversed(runs)}.values())[::-1][:DRAWN]
    pictures = {
        "traversals": (
            traversals.sheet(firsts, dataset.name, dataset.factor_names),
            "Each row moves one unit from -3 to 3 and leaves the others at the posterior mean of one image.",
        ),
        "mutual_information": (
            figures.mutual_information(firsts, dataset.name, dataset.factor_names),
            "Mutual information of each unit with each factor, as a share of the factor's entropy.",
        ),
        "losses": (
            figures.losses(runs, dataset.name),
            "Terms of the objective, nats per image, means over the steps since the line before.",
        ),
        "reconstructions": (traversals.reconstructions(firsts, dataset.name), "Images and their reconstructions."),
    }
    drawn = {name: (_save(figure, name, workdir), caption) for name, (figure, caption) in pictures.items()}
    base = groups[0][0].config
    backend = base.evaluate.dci_backend if "dci" in base.evaluate.metrics and dataset.factor_names else None
    facts = {
        "Images": f"{dataset.size:,}",
        "Steps": f"{base.train.steps:,} of batch {base.train.batch}",
        "Seeds": ", ".join(map(str, sorted({member.config.seed for group in groups for member in group}))),
        "Codes": f"{base.evaluate.train_codes:,} train, {base.evaluate.test_codes:,} test, posterior means",
        "Split": f"codes of {base.evaluate.split!r}, {base.data.held_out:.0%} of the images held out",
        "Machine": f"{platform.machine()}; JAX {jax.__version__}",
        "Date": date.today().isoformat(),
    }
    levels = [level for run in runs for level in _levels(run, workdir)]
    html = page.render(
        f"scaledis: {workdir.root.name}",
        dataset.name,
        runs,
        [page.Picture(png, caption) for png, caption in drawn.values()],
        levels=levels,
        facts=facts,
        command=workdir.claimed()["command"],
        config=configs.thaw(base),
        backend=backend,
    )
    page.write(workdir.report / "index.html", html)
    return f"{page.table(runs, dataset.name, backend)}\n\n{workdir.report / 'index.html'}"


def _save(figure: Figure, name: str, workdir: Workdir) -> bytes:
    png = figures.png(figure)
    results.write_bytes(workdir.report / f"{name}.png", png)
    return png


def runs_of(members: Sequence[Member], index: int, dataset: Dataset, workdir: Workdir) -> list[Run]:
    """What the figures need of every run of population `index`; none if it was never trained."""
    found = train.trained(members, index, dataset, workdir)
    if found is None:
        return []
    _, states = found
    configs = [member.config for member in members]
    allocation = population.padded(configs)
    method = population.build(configs, dataset)
    encode, decode = jax.jit(method.encode), jax.jit(method.decode)
    originals = dataset.images(evaluate.sampled(dataset, configs[0])[-RECONSTRUCTED:])
    runs = []
    for slot, (name, config) in enumerate(members):
        state = population.member(states, slot).method
        mean = np.asarray(encode(state, originals).mean)
        active = np.flatnonzero(population.active(config, allocation))
        swept = traversals.codes(mean[0])[active]
        images = np.asarray(decode(state, swept.reshape(-1, swept.shape[-1])))
        run = Run(
            name=name,
            method=re.sub(r",?seed=\d+", "", name) or config.method.name,
            allocation=config.model.allocation,
            records=results.read_records(workdir.run(name) / "metrics.jsonl"),
            traversals=images.reshape(*swept.shape[:2], *dataset.image_shape),
            originals=originals,
            reconstructions=np.asarray(decode(state, mean)),
        )
        runs.append(_scored(run, dataset, workdir))
    return runs


def _scored(run: Run, dataset: Dataset, workdir: Workdir) -> Run:
    """The run with its scores, and its units' KL and mutual information, where it was evaluated."""
    folder = workdir.run(run.name)
    if not (folder / "scores.json").exists():
        return run
    scores = results.read_json(folder / "scores.json")
    run = run._replace(
        scores=_titled(scores["all"]), diverged_at=scores["diverged"], kl=np.asarray(scores["unit_kl_nats"])
    )
    if not dataset.factor_names:
        return run
    with np.load(folder / "codes.npz", allow_pickle=False) as codes:
        factors = dataset.factors(codes["index"])
        shares = mig.mutual_information(codes["mean"], factors) / np.maximum(mig.entropy(factors), 1e-12)
    return run._replace(shares=shares)


def _levels(run: Run, workdir: Workdir) -> list[Run]:
    """The run once for each level, top to bottom, with the scores of that level's units alone."""
    path = workdir.run(run.name) / "scores.json"
    scores = results.read_json(path) if path.exists() else {}
    names = [f"level{level}" for level in range(len(run.allocation), 0, -1) if f"level{level}" in scores]
    return [
        run._replace(name=f"{run.name}, {name}", method=f"{run.method}, {name}", scores=_titled(scores[name]))
        for name in names
    ]


def _titled(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores under their names in the papers."""
    return {title: scores[key] for key, title in SCORES.items() if key in scores}
