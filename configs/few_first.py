"""Few units first: the scale-aware ladder, which trains its top level of three units alone for a fifth of the steps.

    scaledis train --config=configs/few_first.py                # three starts, of which one goes on
    scaledis train few_first --seeds=5 --workdir=runs/five      # five runs, each the best of three starts
    scaledis train few_first:small,80000                        # 80,000 steps; --steps would not move the stages

Three units have no room for three circles of hues, so each circle is cut to a line; meanwhile sigma falls from twice
its value. The aggregate posterior is that of the last 1,024 images. In one start of four the top level mixes two hues;
the regularization shows it: -1.6 to -4.0 nats against -4.4 to -6.1. So when the second level fades in, the start with
the lowest ELBO of three, which may lack a factor, is dropped, and of the other two the one with the lower
regularization goes on. experiments/length.py measures the result.
"""

from scaledis.core import UserError
from scaledis.sweeps.tiers import tier_config

STARTS = 3
RUNGS = ((0.2, 2, "elbo_nats", "max"), (0.2, 1, "regularization_nats", "min"))


def overrides(steps):
    """Returns the overrides of a tier's config that train few units first, for a training of `steps` steps."""
    return {
        "method.name": "pro_scale_vlae",
        "method.alone": steps / 5,
        "method.stage": steps / 40,
        "model.allocation": (3, 3, 2, 2),
        "objective.kl_warmup": 0.0,
        "schedule.precision": f"warmup:{steps // 5}:0.25",
        "objective.estimator": "memory_bank",
        "objective.bank": 960,
    }


def get_config(argument="small"):
    """Returns the config of TIER, for eight times the steps of the tier, or for the steps of TIER,STEPS."""
    tier, _, steps = argument.partition(",")
    if steps and not steps.isdecimal():
        raise UserError(f"few_first: {steps!r} must be a number of steps, as in few_first:small,80000.")
    config = tier_config(tier)
    config.train.steps = int(steps or 8 * config.train.steps)
    config.update_from_flattened_dict(overrides(config.train.steps))
    config.train.starts, config.train.rungs = STARTS, RUNGS
    return config
