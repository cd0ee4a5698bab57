"""Runs with everything that a report can show, made up: no training."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.datasets.base import sampling
from scaledis.report.summary import Summary
from scaledis.sweeps.aim import Aim
from scaledis.types import Run
from scaledis.workdir import claims
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from scaledis.workdir.trials import Trial, Trials
from tests import tiny

OWN_STYLE = {  # of a user's matplotlibrc
    **{"text.usetex": True, "font.family": "monospace", "font.size": 20, "axes.facecolor": "black"},
    **{"figure.autolayout": True, "savefig.bbox": "tight", "axes.spines.top": False, "image.cmap": "hot"},
}
FACTORS = ("floor_hue", "wall_hue", "shape")


def summary(setting="vlae", seed=0, size=16, allocation=(2, 1), factors=FACTORS, **known) -> Summary:
    """A run of a setting; its images say which unit and which step they are of."""
    rng = np.random.default_rng([seed, len(setting)])
    units = sum(allocation)
    values = np.linspace(0, 1, units * 13).reshape(units, 13, 1, 1, 1)
    images = rng.random((10, size, size, 3))
    score = {"vlae": 0.3, "scale_vlae": 0.4}.get(setting, 0.35) + 0.02 * seed
    given = {
        "name": f"{setting}, seed={seed}",
        "setting": setting,
        "dataset": "rendered",
        "images": 480,
        "factor_names": factors,
        "seed": seed,
        "step": 4000,
        "allocation": allocation,
        "backend": "lightgbm",
        "scores": {"DCI-D": score, "MIG": score / 3, "irs": 0.5 - 0.1 * seed},
        "levels": {f"level{level}": {"DCI-D": score / level} for level in range(len(allocation), 0, -1)},
        "records": [
            {"step": n, "loss_nats": 3000.0 / n, "kl_nats": 2.0 * n, "tc_level1_nats": n - 9.0} for n in range(1, 400)
        ],
        "kl": np.r_[1.25, 0.03, np.ones(units)][:units],
        "shares": rng.uniform(size=(units, len(factors))),
        "changes": np.linspace(0, 1, units)[:, None] * np.ones(len(factors)),
        "edited": tuple(factors[unit % len(factors)] if factors and unit != 1 else None for unit in range(units)),
        "traversals": np.broadcast_to(values, (units, 13, size, size, 3)),
        "originals": images,
        "reconstructions": 1 - images,
        "samples": rng.random((20, size, size, 3)),
    }
    return Summary(**(given | known))


def sweep(settings=("vlae", "scale_vlae", "beta_tcvae"), seeds=2, **known) -> list[Summary]:
    return [summary(setting, seed, **known) for setting in settings for seed in range(seeds)]


def workdir(root: Path, runs: list[Run], states: Any = None) -> Workdir:
    """A work directory as training leaves it, its one population at step 2: at its start, or with other states."""
    directory, images = Workdir(root), tiny.dataset()
    [group] = claims.claim(directory, {"config": tiny.plain(), "sweep": [], "command": "test"}, runs)
    for run in group:
        directory.write_config(run, sampling.facts(images, run.config.data))
    if states is None:
        states = tiny.population([run.config for run in group], images).init()
    Checkpoints(directory.checkpoints(0)).save(2, states, {"runs": [run.name for run in group]})
    return directory


def search(values, states=(), objectives=(("dci/disentanglement", "max"),), space=None, seeds=2, **known) -> Trials:
    """A search with a trial for each of `values`, a number or a row of them; a trial of another state has none.

    Trial n has the beta n + 1, or else params of `known`.
    """
    space = {"method.beta": "log:1..64"} if space is None else space
    trials = []
    for n, (value, state) in enumerate(itertools.zip_longest(values, states, fillvalue="complete")):
        own = [float(each) for each in np.atleast_1d(value)] if state == "complete" else []
        runs = [f"trial={n},seed={seed}" for seed in range(seeds)] if state != "failed" else []
        params = known["params"][n] if "params" in known else dict.fromkeys(space, n + 1.0)
        trials.append(Trial(n, state, params, runs, own, "it cannot be built" if state == "failed" else ""))
    return Trials([Aim(*each) for each in objectives], space, trials, known.get("importance", {}))
