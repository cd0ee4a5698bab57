"""The trained model that comes with the package: few units first with a bank, on `rendered` at 32x32.

    python -m experiments.trained     # 56,000 steps, ten minutes on two quiet cores; it resumes

Of three starts of 8,000 steps that of least ELBO goes, and of the other two that of least R goes on, to 40,000 steps
(configs/few_first.py). The seeds were fixed before the runs and are none of experiments/primary.py; no score chose
among them.
"""

import dataclasses
import runpy

import scaledis
from experiments import primary, protocol
from experiments.tables import ROOT, interval
from scaledis import models
from scaledis.config import thaw
from scaledis.core import runtime
from scaledis.datasets.base import sampling
from scaledis.search import stages
from scaledis.training.engine import Job
from scaledis.training.extract import extract

TIER, NUMBER = "small", 100  # NUMBER: of the run; its starts are the seeds 3300 to 3302
DRAWS, IMAGES = 5, 6000  # samples that each score is the mean over, with its 95 % t interval; images of one
few_first = runpy.run_path(str(ROOT / "configs/few_first.py"))["overrides"]


def main():
    runtime.prepare()
    protocol.low_priority()
    model = scaledis.load_run(train(primary.TIMES * protocol.tier(TIER)["train"]["steps"]))
    model = model._replace(about={**model.about, "scores": scored(model)})
    model.save(models.TRAINED / models.DEFAULT)
    print(model, model.about["scores"], sep="\n")


def train(steps):
    """The directory of the run, trained from the best start for so many steps in all."""
    setting = {**few_first(steps), "train.evaluate_every": 0}
    [seed] = primary.best_starts(TIER, models.DEFAULT, setting, [NUMBER])
    starts, workdir = (
        protocol.place(name, TIER, models.DEFAULT, phase) for name, phase in (("primary", "starts"), ("trained", "run"))
    )
    [run] = [run for run in starts.runs() if run.config.seed == seed]
    if not workdir.groups():
        extract(starts.root, run.name, workdir.root)
    config = dataclasses.replace(run.config, train=dataclasses.replace(run.config.train, steps=steps))
    record = {"config": thaw(config), "sweep": [], "command": "python -m experiments.trained"}
    with workdir.locked(), runtime.stopping() as stop:
        stages.train_all(Job(workdir, record, [run._replace(config=config, padded=None)]), stop)
    return workdir.root


def scored(model):
    """DCI-D, DCI-C, MIG and DCI-I over samples of the data set, each with its interval."""
    dataset, draws = sampling.load_dataset(model.config.data), []
    for seed in range(DRAWS):
        images, factors = dataset.sample(IMAGES, seed)
        draws.append(scaledis.score(model.encode(images).mean, factors, ("dci", "mig"), seed=seed, chance=0))
    found = {"images": IMAGES, "draws": DRAWS}
    for key in protocol.SCORES.values():
        mean, _, half = interval([draw[key] for draw in draws])
        found |= {key: mean, f"{key}_interval": [mean - half, mean + half]}
    return found


if __name__ == "__main__":
    main()
