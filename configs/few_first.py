"""Few units first: the scale-aware ladder whose top of three units is alone for a fifth of the steps.

    scaledis train --config=configs/few_first.py                # three starts, of which one goes on
    scaledis train few_first --seeds=5 --workdir=runs/five      # five runs, each the best of three starts
    scaledis train few_first:small,80000                        # stages for so many steps, which --steps does not move

Three units have no room for three circles of hues, and so cut them; meanwhile sigma falls from twice its value. The
aggregate posterior is that of the last 1,024 images. In one start of four the top mixes two hues, which its
regularization tells: -1.6 to -4.0 nats against -4.4 to -6.1. So of three starts, where the top ceases to be alone, that
of least ELBO is dropped, which may lack a factor, and of the other two that of least regularization goes on.
experiments/length.py measures it.
"""

from scaledis.core import UserError
from scaledis.sweeps.tiers import tier_config

STARTS = 3
RUNGS = ((0.2, 2, "elbo_nats", "max"), (0.2, 1, "regularization_nats", "min"))


def overrides(steps):
    """What makes few units first of a tier's config, in a training of so many steps."""
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
    """The config of a tier, trained eight times as long as the tier, or of TIER,STEPS."""
    tier, _, steps = argument.partition(",")
    if steps and not steps.isdecimal():
        raise UserError(f"few_first: {steps!r} must be a number of steps, as in few_first:small,80000.")
    config = tier_config(tier)
    config.train.steps = int(steps or 8 * config.train.steps)
    config.update_from_flattened_dict(overrides(config.train.steps))
    config.train.starts, config.train.rungs = STARTS, RUNGS
    return config
