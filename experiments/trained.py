"""The trained model that comes with the package: few units first with a bank, on `rendered` at 32x32.

    python -m experiments.trained     # 56,000 steps, ten minutes on two quiet cores; it resumes

Of three starts of 8,000 steps that of least ELBO goes, and of the other two that of least R goes on, to 40,000 steps
(configs/few_first.py). The seeds were fixed before the runs and are none of experiments/primary.py; no score chose
among them.
"""

import dataclasses
import runpy

from experiments import primary, protocol
from experiments.tables import ROOT
from scaledis.config import thaw
from scaledis.core import runtime
from scaledis.training import engine
from scaledis.training.extract import extract

NAME, TIER, NUMBER = "few_first_rendered_32", "small", 100  # NUMBER: of the run; its starts are the seeds 3300 to 3302
few_first = runpy.run_path(str(ROOT / "configs/few_first.py"))["overrides"]


def main():
    runtime.prepare()
    protocol.low_priority()
    train(primary.TIMES * protocol.tier(TIER)["train"]["steps"])


def train(steps):
    """The work directory of the run, trained from the best start for so many steps in all."""
    setting = {**few_first(steps), "train.evaluate_every": 0}
    [seed] = primary.best_starts(TIER, NAME, setting, [NUMBER])
    starts, workdir = protocol.place("primary", TIER, NAME, "starts"), protocol.place("trained", TIER, NAME, "run")
    [run] = [run for run in starts.runs() if run.config.seed == seed]
    if not workdir.groups():
        extract(starts.root, run.name, workdir.root)
    config = dataclasses.replace(run.config, train=dataclasses.replace(run.config.train, steps=steps))
    record = {"config": thaw(config), "sweep": [], "command": "python -m experiments.trained"}
    with workdir.locked(), runtime.stopping() as stop:
        engine.train_all(workdir, record, [run._replace(config=config, padded=None)], stop=stop)
    return workdir


if __name__ == "__main__":
    main()
