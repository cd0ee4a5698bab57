"""Bias, variance and cost of every estimator of the aggregate posterior, on the posteriors of a trained ladder.

    python -m experiments.estimators --workdir=runs/table1-small/vlae-seeds --run=...

The truth is the exact aggregate posterior: 1,024 codes against the posteriors of all images of the data set. Every
estimate is repeated on fresh batches. A bank holds posteriors of other images of the same model, as it would if the
model stood still. Density ratios are trained on the codes first, with 3 layers of 256 units. The cost is that of the
estimate and its gradient in codes and posteriors, a fresh estimate each time; for density ratios with the
discriminators' own step. Writes experiments/results/estimators.json, .md and .png.
"""

import argparse
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.ticker import NullLocator

from scaledis.config import thaw
from scaledis.core import runtime, version
from scaledis.core.files import write_arrays, write_bytes, write_json
from scaledis.datasets.base import sampling
from scaledis.methods import estimators
from scaledis.metrics.of_models.shared import coding
from scaledis.objectives import aggregate_posterior, partition
from scaledis.report.pictures import figures
from scaledis.sweeps.configs import freeze, override
from scaledis.training.load import load_run
from scaledis.types import ImageSpec, Posterior
from scaledis.workdir.layout import Workdir

RESULTS = Path(__file__).parent / "results"
BATCHES = (64, 128, 256, 512, 1024, 2048)
BANKS = (256, 1024, 4096, 16_384)  # at batch 64; no bank is minibatch_stratified
CODES, CHUNK = 1024, 128  # of the truth, in all and at once
REPEATS, TIMED = 24, 7
LEARNING_STEPS = 3000  # of the density ratios
DISCRIMINATOR = {"discriminator.features": 256, "discriminator.layers": 3, "discriminator.learning_rate": 5e-4}


def posteriors(workdir: Workdir, name: str | None):
    """A trained run, its data set, and mean and log variance [N, K] of all images by it."""
    model = load_run(workdir.root, name)
    dataset = sampling.load_dataset(model.config.data)
    kept = workdir.root / "estimators.npz"
    if not kept.exists():
        codes = coding.encode_images(model, dataset, np.arange(dataset.size, dtype=np.int32))
        write_arrays(kept, mean=codes.mean, log_variance=codes.log_variance)
    with np.load(kept, allow_pickle=False) as file:
        return model, dataset, file["mean"], file["log_variance"]


class Bench:
    """Draws batches of a frozen model and estimates the two kinds of dependence on them."""

    def __init__(self, run, image_shape, mean, log_variance):
        self.run, self.mean, self.log_variance = run, mean, log_variance
        self.images = ImageSpec(image_shape, len(mean))
        self.parts = partition.levels(run.model.allocation)
        self.rows = partition.contrasts(self.parts)
        self.rng = np.random.default_rng(0)

    def draw(self, count):
        index = self.rng.integers(0, len(self.mean), count, dtype=np.int32)
        mean, log_variance = self.mean[index], self.log_variance[index]
        noise = self.rng.normal(size=mean.shape).astype(np.float32)
        codes = mean + np.exp(0.5 * log_variance) * noise
        return Posterior(codes, mean, log_variance, self.parts, index)

    def split(self, table):
        """Mean dependence within the levels, summed, and across them."""
        intra = partition.combine(table, self.rows.intra).sum(-1).mean()
        return jnp.stack([intra, partition.combine(table, self.rows.inter).mean()])

    def truth(self):
        weights, membership = aggregate_posterior.exact(len(self.mean)), partition.membership(self.parts)
        against = self.mean, self.log_variance, weights, membership
        density = jax.jit(lambda codes: aggregate_posterior.log_density(codes, *against))
        codes = np.split(self.draw(CODES).codes, CODES // CHUNK)  # the weights of all at once would fill the memory
        table = np.concatenate([density(chunk) for chunk in codes])
        per_code = partition.combine(table, self.rows.intra).sum(-1), partition.combine(table, self.rows.inter)
        return np.asarray(self.split(table)), [float(np.std(values) / np.sqrt(CODES)) for values in per_code]

    def estimate(self, name, batch, bank=0):
        """One line of the table: mean and deviation of both dependences, and milliseconds."""
        settings = {"train.batch": batch, "objective.bank": max(bank, 1), **DISCRIMINATOR}
        estimator = estimators.make(name, freeze(override(thaw(self.run), settings)), self.images)
        extra = estimator.init(jax.random.key(0), self.parts)
        update = jax.jit(lambda extra, seen, key: estimator.update(extra, seen, self.parts, key)[0])
        fills = bank // batch if name == "memory_bank" else LEARNING_STEPS if name == "density_ratio" else 0
        for n in range(fills):
            extra = update(extra, self.draw(batch), jax.random.key(n))

        estimate = jax.jit(lambda extra, seen: self.split(estimator.log_density(extra, seen, self.parts)))
        values = np.asarray([estimate(extra, self.draw(batch)) for _ in range(REPEATS)])

        @jax.jit
        def step(extra, seen, key):
            def total(arrays):
                return self.split(estimator.log_density(extra, Posterior(*arrays, *seen[3:]), self.parts)).sum()

            return jax.grad(total)(seen[:3]), estimator.update(extra, seen, self.parts, key)[0]

        times = []
        for n in range(TIMED + 1):
            seen = self.draw(batch)
            began = time.perf_counter()
            jax.block_until_ready(step(extra, seen, jax.random.key(n)))
            times.append(1000 * (time.perf_counter() - began))
        line = {
            "estimator": name,
            "batch": batch,
            "bank": bank,
            "within": float(values[:, 0].mean()),
            "within_deviation": float(values[:, 0].std()),
            "across": float(values[:, 1].mean()),
            "across_deviation": float(values[:, 1].std()),
            "milliseconds": float(np.median(times[1:])),
        }
        print(line, file=sys.stderr)
        return line


def table(lines, truth) -> str:
    found = [
        "| estimator | B | n | within levels | deviation | across levels | deviation | ms |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
        f"| exact aggregate posterior | | | {truth[0]:.2f} | | {truth[1]:.2f} | | |",
    ]
    for line in lines:
        cells = [line[key] for key in ("within", "within_deviation", "across", "across_deviation")]
        numbers = " | ".join(f"{cell:.2f}" for cell in cells)
        bank = f"{line['bank']:,}" if line["bank"] else ""
        found.append(f"| {line['estimator']} | {line['batch']} | {bank} | {numbers} | {line['milliseconds']:.1f} |")
    return "\n".join(found)


def draw(lines, truth, subtitle):
    """Three panels: dependence within and across the levels, and cost, over the posteriors that an estimate reads."""
    figure = figures.canvas(11.4, 3.5, "Estimators of the aggregate posterior", subtitle)
    names = list(dict.fromkeys(line["estimator"] for line in lines))
    panels = [
        ("within the levels, nats", "within", truth[0]),
        ("across the levels, nats", "across", truth[1]),
        ("milliseconds", "milliseconds", None),
    ]
    for place, (title, key, exact) in enumerate(panels):
        axes = figures.panel(figure, 0.4 + 3.8 * place, 0.6, 3.2, 2.4)
        axes.set_title(title, size=9, color=figures.INK, loc="left")
        for name, color in zip(names, figures.COLORS, strict=False):
            own = [line for line in lines if line["estimator"] == name]
            reads = [line["batch"] + line["bank"] for line in own]
            values = [line[key] for line in own]
            spread = [line.get(f"{key}_deviation", 0) for line in own]
            axes.errorbar(reads, values, spread, color=color, label=name, marker="o", markersize=3, linewidth=1.2)
        if exact is not None:
            axes.axhline(exact, color=figures.INK, linewidth=0.8, linestyle="--", label="exact")
            axes.axhline(0, color=figures.RULE, linewidth=0.5, zorder=0)
        else:
            axes.set_yscale("log")
            axes.set_yticks([1, 10, 100], ["1", "10", "100"])
            axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xscale("log", base=2)
        ticks = [64, 256, 1024, 4096, 16_384]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("posteriors read: B + n", size=8, color=figures.MUTED)
        if place == 0:
            row = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.14), "ncols": len(names) + 1}
            axes.legend(fontsize=8, frameon=False, labelcolor=figures.INK, **row)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True, help="of a trained ladder")
    parser.add_argument("--run", help="its name; may be left out where there is one")
    given = parser.parse_args()
    runtime.prepare_jax()
    model, dataset, mean, log_variance = posteriors(Workdir(given.workdir), given.run)
    run = model.config
    bench = Bench(run, dataset.image_shape, mean, log_variance)
    truth, error = bench.truth()
    print(f"exact: {truth}, standard error {error}", file=sys.stderr)
    lines = [
        bench.estimate(name, batch) for name in ("minibatch_weighted", "minibatch_stratified") for batch in BATCHES
    ]
    lines += [bench.estimate("memory_bank", BATCHES[0], bank) for bank in BANKS]
    lines += [bench.estimate("density_ratio", batch) for batch in BATCHES[:3]]
    about = f"{run.method.name} {run.model.allocation} on {dataset.name}, {model.step:,} steps, seed {run.seed}"
    found = {
        "model": about,
        "machine": runtime.machine(),
        "commit": version.commit(),
        "images": dataset.size,
        "exact": {"within": float(truth[0]), "across": float(truth[1]), "standard_error": error},
        "lines": lines,
    }
    write_json(RESULTS / "estimators.json", found)
    heading = (
        f"`python -m experiments.estimators --workdir=...`: {about}; {runtime.machine()}; {REPEATS} batches a line."
    )
    write_bytes(RESULTS / "estimators.md", f"{heading}\n\n{table(lines, truth)}\n".encode())
    write_bytes(RESULTS / "estimators.png", figures.png(draw(lines, truth, about)))


if __name__ == "__main__":
    main()
