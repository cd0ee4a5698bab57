"""Whether the small world says what the large one says: six methods at 32x32 and, with one seed, at 64x64.

    python -m experiments.resolution

At 64x64 the networks have the papers' sizes (1.2M and 0.77M parameters); each method keeps the setting that Table 1
chose for it in the small tier, with twice the sigma, since four times as many pixels weigh four times as much. Writes
experiments/results/resolution/small.json, .md and .png: the scores at both sizes and the rank correlation between them.
"""

from scipy import stats

from experiments.pictures import dots
from experiments.protocol import SEEDS, arguments, chosen, low_priority, run_groups
from experiments.tables import finished, made_with, mean, results_of, shown, write_markdown
from scaledis.config import Config
from scaledis.core import runtime

SCORES = ("DCI-D", "MIG")
METHODS = ("scale_vlae", "vlae", "beta_tcvae", "beta_vae_hfs", "beta_vae", "factor_vae")
SIZES = {key: getattr(Config().model, key) for key in ("channels", "ladder_channels", "parameters")}


def main():
    given = arguments(__doc__, METHODS)
    runtime.prepare_jax()
    low_priority()
    for method in given.names:
        setting = chosen(given.tier, method)
        large = {"data.resolution": 0, "objective.sigma": 2 * setting["objective.sigma"]}
        large |= {f"model.{key}": value for key, value in SIZES.items()}
        run_groups("resolution", given.tier, method, {method: [{**setting, **large, "seed": SEEDS[0]}]})
    report(given.tier)


def report(tier):
    """The table, with the rank correlations over it."""
    small, large = results_of("table1", tier), finished("resolution", tier)
    rows, found = [], []
    for method in large:
        cells = [shown([run[score] for run in known[method]["runs"]]) for score in SCORES for known in (small, large)]
        rows.append([method, *cells])
    for score in SCORES:
        pairs = [[mean(known[method]["runs"], score) for known in (small, large)] for method in large]
        rank = stats.spearmanr(*zip(*pairs, strict=True))
        found.append(f"{score} {rank.statistic:.2f} (p = {rank.pvalue:.2g})")
    about = f"Spearman over the methods: {', '.join(found)}. At 64x64: " + made_with(large)
    columns = ["method", *(f"{score} {size}" for score in SCORES for size in ("32x32", "64x64"))]
    write_markdown("resolution", tier, "The small world and the large one", about, columns, rows)
    sizes = {"32x32": small, "64x64": large}
    dots("resolution", tier, {name: {size: of[name]["runs"] for size, of in sizes.items()} for name in large}, SCORES)


if __name__ == "__main__":
    main()
