"""What could make the scale-aware ladder better: one change at a time to the small tier's setting, three seeds each.

    python -m experiments.candidates                 # all, two evenings on two cores; it resumes
    python -m experiments.candidates weights         # one group; the table holds whatever is there

Each row is the paired difference to the setting of the tier on the same seeds, which no table reports elsewhere.
Writes experiments/results/candidates/small.json and .md.
"""

import scaledis
from experiments.protocol import SCORES, arguments, low_priority, run_groups
from experiments.tables import finished, made_with, paired, shown, write_markdown
from scaledis.core import runtime
from scaledis.methods.base.autoencoder import make_autoencoder
from scaledis.methods.base.elbo import make_penalized_method
from scaledis.methods.base.penalty import weighted_decomposition
from scaledis.methods.base.spec import Hyperparameter, equation_of
from scaledis.methods.hfs import with_support
from scaledis.methods.scale_vlae import HYPERPARAMETERS, level_arrays, scale_aware

SEEDS = (100, 101, 102)
BASE, LONG = "as it is", "20,000 steps"  # "LONG: a change" is compared with LONG
LONGER = {"train.steps": 20_000}
GROUPS = {
    "weights": {
        BASE: {},
        "gamma 10": {"method.gamma": 10.0},
        "beta 4": {"method.beta": 4.0},
        "beta 16, gamma 10": {"method.beta": 16.0, "method.gamma": 10.0},
        "beta 2 at the top": {"method.beta": (2.0, 8.0, 8.0, 8.0)},
        "KL whole from the start": {"objective.kl_warmup": 0.0},
        "KL warm-up of 400 steps": {"objective.kl_warmup": 400.0},
        "sigma 0.18": {"objective.sigma": 0.18},
        "sigma 0.35": {"objective.sigma": 0.35},
        "learning rate 1e-3": {"train.learning_rate": 1e-3},
    },
    "vector": {"one vector injected": {"model.injection": "vector"}},
    "bank": {
        "exact bank, beta 8, gamma 3": {"objective.estimator": "memory_bank"},
        "exact bank, beta 4, gamma 2": {
            "objective.estimator": "memory_bank",
            "method.beta": 4.0,
            "method.gamma": 2.0,
        },
    },
    "batch": {
        "batch 256, stratified, same images": {
            "objective.estimator": "minibatch_stratified",
            "train.batch": 256,
            "train.steps": 1250,
            "objective.kl_warmup": 400.0,
        }
    },
    "precision": {
        "sigma falls over 2,000 steps, KL whole": {"schedule.precision": "warmup:2000", "objective.kl_warmup": 0.0}
    },
    "support": {
        f"factorized support on the ladder, {weight:g}": {"method.name": "ladder_hfs", "method.support": weight}
        for weight in (10.0, 100.0)
    },
    "small batch": {"batch 32, twice the steps": {"train.batch": 32, "train.steps": 10_000}},
    "rate": {
        "learning rate 4e-3": {"train.learning_rate": 4e-3},
        "learning rate 4e-3, falls by a cosine": {"train.learning_rate": 4e-3, "schedule.learning_rate": "cosine"},
    },
    "rate and weights": {
        "learning rate 4e-3, beta 4": {"train.learning_rate": 4e-3, "method.beta": 4.0},
        "learning rate 4e-3, beta 4, sigma 0.35": {
            "train.learning_rate": 4e-3,
            "method.beta": 4.0,
            "objective.sigma": 0.35,
        },
    },
    "cosine": {"learning rate falls by a cosine": {"schedule.learning_rate": "cosine"}},
    "clip": {"no gradient clipping": {"train.gradient_clip": 0.0}},
    "long": {
        LONG: LONGER,
        f"{LONG}: sigma 0.5": {**LONGER, "objective.sigma": 0.5},
        f"{LONG}: gamma 10": {**LONGER, "method.gamma": 10.0},
    },
    "long precision": {
        f"{LONG}: sigma falls over {steps:,} steps, KL whole": {
            **LONGER,
            "schedule.precision": f"warmup:{steps}",
            "objective.kl_warmup": 0.0,
        }
        for steps in (5000, 10_000)
    },
    "long bank": {
        f"{LONG}: bank of 960, beta {beta:g}, gamma {gamma:g}": {
            **LONGER,
            "objective.estimator": "memory_bank",
            "objective.bank": 960,
            "method.beta": beta,
            "method.gamma": gamma,
        }
        for beta, gamma in ((8.0, 3.0), (4.0, 3.0))
    },
    "evening": {"eight times the steps": {"train.steps": 40_000}},
    "evening bank": {
        "eight times the steps: bank of 960": {
            "train.steps": 40_000,
            "objective.estimator": "memory_bank",
            "objective.bank": 960,
        }
    },
    "evening progressive": {
        "eight times the steps: progressive levels, KL whole, sigma 0.5": {
            "train.steps": 40_000,
            "method.name": "pro_scale_vlae",
            "objective.kl_warmup": 0.0,
            "objective.sigma": 0.5,
        }
    },
}


def build_ladder_hfs(config, images):
    """The scale-aware ladder with support times the Hausdorff factorized support of all units (Roth et al. 2023)."""
    penalty = weighted_decomposition(config, images, scale_aware)
    return make_penalized_method(config, make_autoencoder(config, images), with_support(penalty, "support"))


scaledis.register_method(
    "ladder_hfs",
    build_ladder_hfs,
    equation=equation_of(build_ladder_hfs),
    hyperparameters={**HYPERPARAMETERS, "support": Hyperparameter(10.0, "weight of the factorized support")},
    flat=False,
    arrays=level_arrays,
)


def main():
    given = arguments(__doc__, GROUPS)
    runtime.prepare_jax()
    low_priority()
    for group in given.names:
        overrides = {
            name: [{"method.name": "scale_vlae", **change, "seed": seed} for seed in SEEDS]
            for name, change in GROUPS[group].items()
        }
        run_groups("candidates", given.tier, group, overrides)
    write_table(given.tier)


def write_table(tier):
    """experiments/results/candidates: every candidate's scores, and its difference to the setting as it is."""
    known = finished("candidates", tier)
    rows = []
    for name, found in sorted(known.items(), key=lambda item: -sum(run["DCI-D"] or 0 for run in item[1]["runs"])):
        base = known.get(name.rpartition(": ")[0] or BASE, {"runs": []})["runs"]
        gaps = [paired(found["runs"], base, score) if name != BASE else [] for score in ("DCI-D", "MIG")]
        rows.append([name, *(shown([run[score] for run in found["runs"]]) for score in SCORES), *map(shown, gaps)])
    about = (
        "One change at a time to `scale_vlae` in the setting of `configs/tier.py`; differences are paired, to the "
        "setting as it is, or, behind a colon, to what stands before it. " + made_with(known)
    )
    columns = ["change", *SCORES, "DCI-D, it - its base", "MIG, it - its base"]
    write_markdown("candidates", tier, "Candidates for the scale-aware ladder", about, columns, rows)


if __name__ == "__main__":
    main()
