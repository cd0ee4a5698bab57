"""The runs of experiments/search.py: points of a space of settings, trained once and scored at each rung.

The settings are Sobol points, so that every 16 of them spread over the whole space. Every run is scored at each of
SHARES of its steps by DCI and MIG of 1,500 codes, as a rung would, and at its end of 6,000 codes, as in all tables.
"""

import math
from functools import partial

import numpy as np
from scipy.stats import qmc

from experiments import protocol, tables
from experiments.protocol import SCORES, TERMS, place
from experiments.tables import results_of, write_results
from scaledis.core import UserError, hosts, runtime, version
from scaledis.core.files import read_arrays, write_arrays
from scaledis.datasets.base import sampling
from scaledis.metrics.of_models.shared.coding import encode_images
from scaledis.objectives import gaussian
from scaledis.search import stages
from scaledis.sweeps.configs import freeze, override
from scaledis.training import hooks
from scaledis.training.engine import Job
from scaledis.training.evaluate import sample
from scaledis.training.hooks import Hook
from scaledis.training.load import load_run
from scaledis.training.scores import score_units
from scaledis.types import Codes, Run
from scaledis.workdir.log import last_mean, read_records

SPACE = {  # on a log scale; the best known settings are beta 4 to 8, gamma 1 to 3, a rate of .002 to .004, sigma .25
    "method.beta": (1.0, 64.0),
    "method.gamma": (0.3, 30.0),
    "train.learning_rate": (5e-4, 8e-3),
    "objective.sigma": (0.125, 0.5),
}
COMMON = {"method.name": "scale_vlae", "objective.kl_warmup": 0.0}
SETTINGS, PART = 64, 16
SEEDS = (4000, 4001, 4002, 4003, 4004)
SHARES = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 1)  # of the steps, where runs are scored
FEW, KEPT = 1500, 1000  # codes that are scored on the way; those that UDR is computed of
LOGGED = ("ELBO", "R", "KL")


def parts():
    """(settings, seed) of each part: all seeds of the first settings come first, so that these can be replayed."""
    for first in range(0, SETTINGS, PART):
        for seed in SEEDS:
            yield range(first, min(first + PART, SETTINGS)), seed


def points():
    """The settings in the unit cube, [SETTINGS, axes]: Sobol points in the middle of their cells."""
    return qmc.Sobol(len(SPACE), scramble=False).random(SETTINGS) + 0.5 / SETTINGS


def setting(number):
    """The overrides of a setting, with three digits."""
    values = {
        key: float(f"{low * (high / low) ** at:.3g}")
        for (key, (low, high)), at in zip(SPACE.items(), points()[number], strict=True)
    }
    return {**COMMON, **values}


def train_part(tier_name, numbers, seed):
    """Trains and scores some settings at one seed, and writes them beside those that are there."""
    entry = f"settings {numbers[0]} to {numbers[-1]}, seed {seed}"
    known = results_of("search", tier_name)
    if entry in known:
        return
    base, overrides = protocol.tier(tier_name), [{**setting(number), "seed": seed} for number in numbers]
    configs = [freeze(override(base, changed)) for changed in overrides]
    runs = [Run(f"setting{number}", config) for number, config in zip(numbers, configs, strict=True)]
    dataset = sampling.load_dataset(configs[0].data)
    index, train_codes = sample(dataset, configs[0])
    workdir = place("search", tier_name, f"settings{numbers[0]}", f"seed{seed}")
    *on_the_way, last = rungs(configs[0].train.steps)
    record = {"config": base, "sweep": [], "command": "experiments"}
    beside = (hooks.make_progress, make_codes(index[:FEW], on_the_way))
    with workdir.locked(), runtime.stopping() as stop:
        stages.train_all(Job(workdir, record, runs, beside=beside), stop)
    rows, means, nats = [], [], []
    for run, number, changed in zip(runs, numbers, overrides, strict=True):
        model = load_run(workdir.root, run.name)
        codes = encode_images(model, dataset, index)
        score = partial(scored, settings=run.config.evaluate, share=train_codes / len(index))
        few = Codes(codes.mean[:FEW], codes.log_variance[:FEW], codes.levels)
        held = {step: codes_at(workdir, run, step, few) for step in on_the_way} | {last: few}
        factors = dataset.factors(index)
        steps = {str(step): score(of_step, factors[:FEW]) for step, of_step in held.items()}
        logs = log_of(workdir, run, held)
        rows.append(
            {
                "override": changed,
                "number": number,
                "step": model.step,
                "dataset": dataset.name,
                "fingerprint": dataset.fingerprint,
                **score(codes, factors),
                **logs[last],
                "over_steps": {str(step): steps[str(step)] | logs[step] for step in held},
                **version.here(),
            }
        )
        means.append(codes.mean[:KEPT].astype(np.float16))
        nats.append(np.asarray(gaussian.kl_to_standard(codes.mean, codes.log_variance)).mean(0))
        print(f"{entry}, setting {number}: DCI-D {rows[-1]['DCI-D']}", flush=True)
    write_arrays(file_of(tier_name, numbers[0], seed), index=index[:KEPT], mean=np.stack(means), nats=np.stack(nats))
    known[entry] = {"runs": rows, "machine": runtime.machine()}
    write_results("search", tier_name, known)


def rungs(steps):
    """The steps at which a run of so many is scored."""
    return [max(1, round(share * steps)) for share in SHARES]


def file_of(tier_name, first, seed):
    """Where the codes of a part are."""
    return tables.RESULTS / "search" / f"{tier_name}-settings{first}-seed{seed}.npz"


def make_codes(index, steps):
    """A hook that keeps every run's codes of the images at `index` at some steps."""

    def make(training):
        def call(moment):
            if moment.step in steps:
                states = hosts.gathered(moment.states)
                for slot, run in enumerate(training.runs):
                    codes = encode_images(training.population.model(states, slot), training.dataset, index)
                    write_arrays(on_disk(training.workdir, run, moment.step), **codes._asdict())

        return Hook(call, math.gcd(*steps))

    return make


def on_disk(workdir, run, step):
    """Where the hook writes a run's codes of a step."""
    return workdir.run(run.name) / f"codes-{step}.npz"


def codes_at(workdir, run, step, last):
    """A run's codes at a step; those of its last state where its population had ended, since all had diverged."""
    path = on_disk(workdir, run, step)
    logged = read_records(workdir.run(run.name) / "metrics.jsonl")[-1]["step"]
    if logged < step and not path.exists():
        return last
    return Codes(**{name: array for name, array in read_arrays(path, *Codes._fields).items() if name in Codes._fields})


def scored(codes, factors, settings, share):
    """SCORES of all units; None for codes that are the same for every image."""
    every, found = np.ones(codes.levels.shape, bool), {}
    for metric in ("dci", "mig"):
        try:
            found |= score_units(metric, codes, every, factors, settings, share, {})
        except UserError as error:
            print(error)
    return {title: found.get(key) for title, key in SCORES.items()}


def log_of(workdir, run, steps):
    """What rungs would see of a run's log at each step, and the step at which it diverged; None from there on."""
    records = read_records(workdir.run(run.name) / "metrics.jsonl")
    found = {}
    for step in steps:
        so_far = [record for record in records if record["step"] <= step]
        diverged = next((record["diverged"] for record in so_far if "diverged" in record), None)
        means = {title: last_mean(so_far, TERMS[title]) if diverged is None else None for title in LOGGED}
        found[step] = {**means, "diverged": diverged}
    return found
