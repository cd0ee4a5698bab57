"""The sweeps behind the settings that the paper leaves open, on `rendered`, one seed, 4,000 steps.

    python -m scaledis.main --config=configs/settings.py --sweep=map --workdir=runs/settings-map
    python experiments/collect.py runs/settings-* > experiments/results/settings.md

Each sweep takes about nine minutes on two cores. What was learned stands in the README, "Objective".
"""

from scaledis.experiment import default


def get_config():
    config = default()
    config.data.name = "rendered"
    config.train.steps = 4000
    config.train.checkpoint_every = 1000
    return config


def _pair(first, second, **shared):
    for method in (first, second):
        yield {**method, **{key.replace("__", "."): value for key, value in shared.items()}}


VLAE = {"method.name": "vlae"}


def _ours(beta, gamma):
    return {"method.name": "scale_vlae", "method.beta": beta, "method.gamma": gamma}


def sweep_map():
    """A dense map as v_l: learns fast, and every level paints anything."""
    yield from _pair(VLAE, _ours(4.0, 3.0), model__injection="map", objective__sigma=1.0, train__learning_rate=1e-3)


def sweep_vector():
    """A vector as v_l, the same everywhere: a level can only modulate what the levels above it draw."""
    yield from _pair(VLAE, _ours(4.0, 3.0), model__injection="vector", objective__sigma=1.0, train__learning_rate=1e-3)


def sweep_beta():
    """Sharper likelihood, faster learning, and how much intra-level penalty it takes."""
    yield from _pair(
        _ours(4.0, 3.0), _ours(8.0, 3.0), model__injection="vector", objective__sigma=0.5, train__learning_rate=2e-3
    )


def sweep_plain():
    """The plain ladder in the same setting, and still more penalty."""
    yield from _pair(VLAE, _ours(12.0, 3.0), model__injection="vector", objective__sigma=0.5, train__learning_rate=2e-3)
