"""Every method on the same terms (configs/comparison.py): trains, scores, and draws one table and one sheet.

    python experiments/methods.py                # all of them, about three hours on two cores; goes on where it stopped
    python experiments/methods.py beta_vae dava  # some; the table and the sheet hold whatever is there
    python experiments/methods.py --time         # only the milliseconds a step, each method beside the VAE

Writes experiments/results/methods/: scores.md, scores.json, traversals.png (seed 0) and, with --time, times.json.
"""

import argparse
import io
import json
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from scaledis import platform

platform.prepare()

import jax  # noqa: E402  (after the settings that must come before it)
import jax.numpy as jnp  # noqa: E402

from scaledis import aggregate, config, datasets, describe, methods, partition, population, report, sweep  # noqa: E402
from scaledis.report import figures, traversals  # noqa: E402
from scaledis.results import Workdir, read_json, read_records, write_bytes, write_json  # noqa: E402

ROOT = Path(__file__).parents[1]
CONFIG = "configs/comparison.py"
RESULTS = ROOT / "experiments/results/methods"
SWEEP = "two_seeds"
ORDER = (
    *("vae", "beta_vae", "beta_vae_hfs", "beta_tcvae", "beta_tcvae_hfs", "factor_vae", "dava", "alpha_tcvae"),
    *("beta_stcvae", "dip_vae_i", "dip_vae_ii", "nvae", "vlae", "pro_vlae", "scale_vlae", "pro_scale_vlae"),
)
COLUMNS = {
    "dci_d": ("DCI-D", "{:.3f}"),
    "dci_c": ("DCI-C", "{:.3f}"),
    "mig": ("MIG", "{:.3f}"),
    "reconstruction": ("rec", "{:.1f}"),
    "kl": ("KL", "{:.1f}"),
    "tc": ("TC", "{:.2f}"),
}
SAMPLES = 2000  # codes whose density estimates the total correlation
LAST = 500  # steps over which the training terms are averaged
TIMED, ROUNDS = 20, 5


def workdir(method: str) -> Workdir:
    return Workdir(ROOT / "runs/methods" / method)


def train_and_score(method: str) -> None:
    """In a process of its own, so that one failure stops no other method."""
    command = ["-m", "scaledis.main", f"--config={CONFIG}:{method}", f"--sweep={SWEEP}", "--stages=train,evaluate"]
    code = subprocess.run([sys.executable, *command, f"--workdir={workdir(method).root}"], cwd=ROOT).returncode
    if code:
        print(f"{method}: ended with code {code}", file=sys.stderr)


def total_correlation(codes_file: Path) -> float:
    """TC(q(z)) in nats: 2,000 codes against the mixture of all 15,000 posteriors that were scored."""
    with np.load(codes_file, allow_pickle=False) as file:
        mean, log_variance = file["mean"], file["log_variance"]
    noise = np.random.default_rng(0).normal(size=mean[:SAMPLES].shape).astype(np.float32)
    codes = mean[:SAMPLES] + np.exp(0.5 * log_variance[:SAMPLES]) * noise
    parts = jnp.ones((1, mean.shape[1]))
    density = jax.jit(aggregate.log_density)
    table = density(codes, mean, log_variance, aggregate.exact(len(mean)), partition.membership(parts))
    return float(partition.combine(table, partition.contrasts(parts).intra).mean())


def row(method: str, dataset) -> dict:
    """What the table has of a method: numbers by column, one for each seed, and what they were made with."""
    place, seeds = workdir(method), []
    for path in sorted(place.root.glob("runs/*/scores.json")):
        scores, records = read_json(path), read_records(path.with_name("metrics.jsonl"))
        settings = read_json(path.with_name("config.json"))
        last = [record for record in records if record["step"] > records[-1]["step"] - LAST]
        pixels = np.prod(dataset.image_shape)
        floor = pixels * np.log(settings["objective"]["sigma"] * np.sqrt(2 * np.pi))
        seeds.append(
            {
                "dci_d": scores["all"]["dci/disentanglement"],
                "dci_c": scores["all"]["dci/completeness"],
                "mig": scores["all"]["mig/mig"],
                "reconstruction": np.mean([record["reconstruction_nats"] for record in last]) - floor,
                "kl": sum(scores["unit_kl_nats"]),
                "tc": total_correlation(path.with_name("codes.npz")),
                "seed": settings["seed"],
                "steps": scores["step"],
                "diverged": scores["diverged"],
            }
        )
    params = describe.state_shapes(members(method)[0].config, dataset).params
    return {"method": method, "runs": seeds, "parameters": describe.count(params)}


def members(method: str) -> list[sweep.Member]:
    namespace = runpy.run_path(str(ROOT / CONFIG))
    return sweep.expand(namespace["get_config"](method).to_dict(), [SWEEP], namespace)


def table(rows: list[dict], times: dict[str, float]) -> str:
    titles = ["method", *(title for title, _ in COLUMNS.values()), "parameters", "ms a step"]
    lines = ["| " + " | ".join(titles) + " |", "| --- " + "| --: " * (len(titles) - 1) + "|"]
    for found in rows:
        cells = [found["method"]]
        for key, (_, form) in COLUMNS.items():
            values = [run[key] for run in found["runs"]]
            cells.append(f"{form.format(np.mean(values))} ({', '.join(form.format(value) for value in values)})")
        cells += [f"{found['parameters']:,}", f"{times[found['method']]:.0f}" if found["method"] in times else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def text(rows: list[dict], times: dict[str, float], dataset) -> str:
    run = members(rows[0]["method"])[0].config
    steps = sorted({seed["steps"] for found in rows for seed in found["runs"]})
    seeds = sorted({seed["seed"] for found in rows for seed in found["runs"]})
    return f"""# Every method on `{dataset.name}`

`python experiments/methods.py`, settings of `{CONFIG}`: {", ".join(f"{step:,}" for step in steps)} steps of batch
{run.train.batch}, seeds {", ".join(map(str, seeds))}, Adam {run.train.learning_rate:g}, Gaussian likelihood of sigma
{run.objective.sigma}, 10 units, DCI by LightGBM. {platform.machine()}; JAX {jax.__version__}.
Means, and each seed in brackets. `rec` (without the Gaussian's constant), `KL` and `TC` in nats per image; TC
by {SAMPLES:,} codes against the mixture of 15,000 posteriors, which is some nats too much (that of `vlae`, seed 0, over
all images is in ../estimators.md). Parameters without discriminators. Milliseconds of one run on the whole machine.

{table(rows, times)}

A short run on one look-alike data set, without any tuning of the methods: not a ranking of what they can reach.
"""


def timed(names: list[str], dataset) -> dict[str, float]:
    """Milliseconds a step of every method alone, and their ratio to those of the VAE in the same minute."""

    def program(method):
        run = [members(method)[0].config]
        made = population.program(run, dataset, population.build(run, dataset))
        return made, made.advance(made.init(), 1)[0]

    def step(made, runs):
        began = time.perf_counter()
        runs, terms = made.advance(runs, TIMED)
        jax.block_until_ready(terms)
        return runs, 1000 * (time.perf_counter() - began) / TIMED

    baseline, of_baseline = program("vae")
    found, ratios = {}, {}
    for name in names:
        made, runs = program(name)
        own, beside = [], []
        for _ in range(ROUNDS):
            runs, milliseconds = step(made, runs)
            own.append(milliseconds)
            of_baseline, milliseconds = step(baseline, of_baseline)
            beside.append(milliseconds)
        found[name], ratios[name] = float(np.median(own)), float(np.median(own) / np.median(beside))
        print(f"{name}: {found[name]:.0f} ms, {ratios[name]:.2f} times the VAE", file=sys.stderr)
    return {"milliseconds": found, "times_vae": ratios, "machine": platform.machine(), "jax": jax.__version__}


def draw(names: list[str], dataset) -> None:
    """The first seed of every method, side by side."""
    drawn = []
    for name in names:
        first = members(name)
        groups = read_json(workdir(name).plan)
        by_name = {member.name: member for member in first}
        runs = report.runs_of([by_name[each] for each in groups[0]], 0, dataset, workdir(name))
        drawn.append(runs[0]._replace(name=f"{name}, seed {first[0].config.seed}"))
    sheet = figures.png(traversals.sheet(drawn, dataset.name, dataset.factor_names))
    Image.open(io.BytesIO(sheet)).convert("RGB").quantize(256).save(RESULTS / "traversals.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help="default: all")
    parser.add_argument("--time", action="store_true")
    given = parser.parse_args()
    assert set(ORDER) == methods.recipes().keys(), set(ORDER) ^ methods.recipes().keys()
    base = config.default()
    dataset = datasets.load("rendered", base.data.directory)
    if given.time:
        write_json(RESULTS / "times.json", timed(given.methods or list(ORDER), dataset))
        return
    for method in given.methods or ORDER:
        train_and_score(method)
    scored = [name for name in ORDER if list(workdir(name).root.glob("runs/*/scores.json"))]
    rows = [row(name, dataset) for name in scored]
    write_json(RESULTS / "scores.json", {"dataset": dataset.name, "machine": platform.machine(), "methods": rows})
    kept = RESULTS / "times.json"
    times = json.loads(kept.read_text())["milliseconds"] if kept.exists() else {}
    write_bytes(RESULTS / "scores.md", text(rows, times, dataset).encode())
    draw(scored, dataset)


if __name__ == "__main__":
    main()
