"""Bias, variance and cost of every estimator of the aggregate posterior, on the posteriors of a trained ladder.

    python experiments/estimators.py --workdir=runs/methods/vlae

The truth is the exact aggregate posterior: 1,024 codes against the posteriors of all images of the data set. Every
estimate is repeated on fresh batches. A bank holds posteriors of other images of the same model, as it would if the
model stood still. Density ratios are trained on the codes first, with 3 layers of 256 units. The cost is that of the
estimate and its gradient in codes and posteriors, a fresh estimate each time; for density ratios with the
discriminators' own step. Writes experiments/results/estimators.json, .md and .png.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import numpy as np

from scaledis import platform

platform.prepare()

import jax  # noqa: E402  (after the settings that must come before it)
import jax.numpy as jnp  # noqa: E402
from matplotlib.ticker import NullLocator  # noqa: E402

from scaledis import aggregate, datasets, estimators, evaluate, partition, population, train  # noqa: E402
from scaledis.config import Discriminator  # noqa: E402
from scaledis.report import figures  # noqa: E402
from scaledis.results import Workdir, read_json, write_arrays, write_bytes, write_json  # noqa: E402

RESULTS = Path(__file__).parent / "results"
BATCHES = (64, 128, 256, 512, 1024, 2048)
BANKS = (256, 1024, 4096, 16_384)  # at batch 64; no bank is minibatch_stratified
CODES, CHUNK = 1024, 128  # of the truth, in all and at once
REPEATS, TIMED = 24, 7
LEARNING_STEPS = 3000  # of the density ratios


def posteriors(workdir: Workdir):
    """Mean and log variance [N, K] of all images of the data set by the first run of the work directory."""
    members = workdir.members()
    groups = read_json(workdir.plan)
    group = [member for name in groups[0] for member in members if member.name == name]
    run = group[0].config
    dataset = datasets.load(run.data.name, run.data.directory)
    step, runs = train.trained(group, 0, dataset, workdir)
    kept = workdir.root / "estimators.npz"
    if not kept.exists():
        method = population.build([member.config for member in group], dataset)
        encode, state = jax.jit(method.encode), population.member(runs, 0).method
        codes = evaluate.encoded(lambda images: encode(state, images), dataset, np.arange(dataset.size, dtype=np.int32))
        write_arrays(kept, mean=codes.mean, log_variance=codes.log_variance)
    with np.load(kept, allow_pickle=False) as file:
        return run, dataset, step, file["mean"], file["log_variance"]


class Bench:
    """Draws batches of a frozen model and estimates the two kinds of dependence on them."""

    def __init__(self, run, mean, log_variance):
        self.run, self.mean, self.log_variance = run, mean, log_variance
        self.parts = partition.levels(run.model.allocation)
        self.rows = partition.contrasts(self.parts)
        self.rng = np.random.default_rng(0)

    def draw(self, count):
        index = self.rng.integers(0, len(self.mean), count)
        mean, log_variance = self.mean[index], self.log_variance[index]
        noise = self.rng.normal(size=mean.shape).astype(np.float32)
        return mean + np.exp(0.5 * log_variance) * noise, mean, log_variance

    def split(self, table):
        """Mean dependence within the levels, summed, and across them."""
        intra = partition.combine(table, self.rows.intra).sum(-1).mean()
        return jnp.stack([intra, partition.combine(table, self.rows.inter).mean()])

    def truth(self):
        weights, membership = aggregate.exact(len(self.mean)), partition.membership(self.parts)
        density = jax.jit(lambda codes: aggregate.log_density(codes, self.mean, self.log_variance, weights, membership))
        codes = np.split(self.draw(CODES)[0], CODES // CHUNK)  # the weights of all at once would fill the memory
        table = np.concatenate([density(chunk) for chunk in codes])
        per_code = partition.combine(table, self.rows.intra).sum(-1), partition.combine(table, self.rows.inter)
        return np.asarray(self.split(table)), [float(np.std(values) / np.sqrt(CODES)) for values in per_code]

    def estimate(self, name, batch, bank=0):
        """One line of the table: mean and deviation of both dependences, and milliseconds."""
        run = dataclasses.replace(
            self.run,
            train=dataclasses.replace(self.run.train, batch=batch),
            objective=dataclasses.replace(self.run.objective, bank=max(bank, 1)),
            discriminator=Discriminator(features=256, layers=3, learning_rate=5e-4),
        )
        estimator = estimators.ESTIMATORS[name](run, len(self.mean))
        memory = estimator.init(jax.random.key(0), self.parts)
        remember = jax.jit(lambda memory, seen, key: estimator.remember(memory, *seen, self.parts, key)[0])
        fills = bank // batch if name == "memory_bank" else LEARNING_STEPS if name == "density_ratio" else 0
        for n in range(fills):
            memory = remember(memory, self.draw(batch), jax.random.key(n))

        estimate = jax.jit(lambda memory, seen: self.split(estimator.log_density(memory, *seen, self.parts)))
        values = np.asarray([estimate(memory, self.draw(batch)) for _ in range(REPEATS)])

        @jax.jit
        def step(memory, seen, key):
            def total(seen):
                return self.split(estimator.log_density(memory, *seen, self.parts)).sum()

            return jax.grad(total)(seen), estimator.remember(memory, *seen, self.parts, key)[0]

        times = []
        for n in range(TIMED + 1):
            seen = self.draw(batch)
            began = time.perf_counter()
            jax.block_until_ready(step(memory, seen, jax.random.key(n)))
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
        for name, colour in zip(names, figures.COLOURS, strict=False):
            own = [line for line in lines if line["estimator"] == name]
            reads = [line["batch"] + line["bank"] for line in own]
            values = [line[key] for line in own]
            spread = [line.get(f"{key}_deviation", 0) for line in own]
            axes.errorbar(reads, values, spread, color=colour, label=name, marker="o", markersize=3, linewidth=1.2)
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
    workdir = Workdir(parser.parse_args().workdir)
    run, dataset, step, mean, log_variance = posteriors(workdir)
    bench = Bench(run, mean, log_variance)
    truth, error = bench.truth()
    print(f"exact: {truth}, standard error {error}", file=sys.stderr)
    lines = [
        bench.estimate(name, batch) for name in ("minibatch_weighted", "minibatch_stratified") for batch in BATCHES
    ]
    lines += [bench.estimate("memory_bank", BATCHES[0], bank) for bank in BANKS]
    lines += [bench.estimate("density_ratio", batch) for batch in BATCHES[:3]]
    about = f"{run.method.name} {run.model.allocation} on {dataset.name}, {step:,} steps, seed {run.seed}"
    found = {
        "model": about,
        "machine": platform.machine(),
        "images": dataset.size,
        "exact": {"within": float(truth[0]), "across": float(truth[1]), "standard_error": error},
        "lines": lines,
    }
    write_json(RESULTS / "estimators.json", found)
    heading = (
        f"`python experiments/estimators.py --workdir=...`: {about}; {platform.machine()}; {REPEATS} batches a line."
    )
    write_bytes(RESULTS / "estimators.md", f"{heading}\n\n{table(lines, truth)}\n".encode())
    write_bytes(RESULTS / "estimators.png", figures.png(draw(lines, truth, about)))


if __name__ == "__main__":
    main()
