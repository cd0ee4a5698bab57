"""The step of a population compiled for GPUs and TPUs that are not here: its arithmetic, memory, kernels, collectives.

    make compiled                                        # installs the compilers; every row of the papers' networks
    python -m experiments.benchmarks.compiled h100 a100  # one kind after the other
    python -m experiments.benchmarks.compiled v5e --runs 16 --chips 16
    python -m experiments.benchmarks.compiled v5e --every    # only whether the tiny step of every method compiles

The papers' networks at 64x64, batch 64. FLOP are those of convolutions and products of the optimized program over those
that are needed (planning/programs.py), memory is what a device needs beside arguments and results. Writes
experiments/results/compiled.json and compiled.md, and the table that plans are made from,
scaledis/planning/programs.csv. Without a kind it writes compiled.md alone.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"  # where the compilers run; there is no device of theirs

import argparse  # noqa: E402
import ast  # noqa: E402
import itertools  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

from experiments.benchmarks.accelerator import TINY, forced  # noqa: E402
from experiments.tables import RESULTS  # noqa: E402
from scaledis import methods  # noqa: E402
from scaledis.core.files import read_json, write_json  # noqa: E402
from scaledis.core.version import here  # noqa: E402
from scaledis.networks import conv  # noqa: E402
from scaledis.planning import forecast, hlo, programs, table, targets  # noqa: E402
from scaledis.sweeps.configs import make_config  # noqa: E402
from scaledis.types import ImageSpec  # noqa: E402

METHODS, SIZES = ("scale_vlae", "beta_tcvae"), (1, 16, 64)
SIDE, IMAGES = 64, 480_000
FILE = RESULTS / "compiled.json"


def row(found: hlo.Program, needed: int, runs: int) -> dict[str, Any]:
    """What a compiler made of a step: arithmetic over what `runs` runs need, megabytes a run, kernels, collectives."""
    return {
        "arithmetic": round(found.flops / runs / needed, 3),
        "gigaflops_a_run": round(found.flops / 1e9 / runs, 2),
        "touched_megabytes_a_run": round(found.touched / 1e6 / runs),
        "temporary_megabytes_a_run": round(found.temporary / 1e6 / runs, 1),
        "largest_window": max((one.window for one in found.instructions), default=1),
        "most_groups": max((one.groups for one in found.instructions), default=1),
        "collectives": found.collectives,
        "wide": found.wide,
        "donated": found.donated,
        "kernels": found.kernels,
    }


def store(name: str, found: dict[str, Any]) -> None:
    """Writes a row as soon as it is known; sorted, so that a diff shows the programs that changed."""
    rows = read_json(FILE) if FILE.exists() else {}
    rows[name] = found | here()
    write_json(FILE, dict(sorted(rows.items())))
    print(name, found, flush=True)
    write_table(rows)


def write_table(rows: dict[str, dict[str, Any]]) -> None:
    """Writes the rows of the papers' networks as a table, and what the tiny steps of all methods have in common."""
    columns = {
        "arithmetic": "arithmetic",
        "MB a run": "temporary_megabytes_a_run",
        "MB touched a run": "touched_megabytes_a_run",
        "largest window, pixels": "largest_window",
        "groups": "most_groups",
    }
    head = ["device", "method", "runs", "form", *columns]
    lines = [f"| {' | '.join(head)} |", "| --- " * 4 + "| --: " * len(columns) + "|"]
    papers = {name: row for name, row in rows.items() if " tiny " not in name}
    for name, row in papers.items():
        kind, method, runs, form, *other = name.split(" ", 4)
        cells = [f"{row[key]:,}" if key in row else "" for key in columns.values()]
        lines.append(f"| {' '.join([kind, *other])} | `{method}` | {runs} | `{form}` | {' | '.join(cells)} |")
    for kind in sorted({name.split()[0] for name in rows if " tiny " in name}):
        tiny = {name: row for name, row in rows.items() if name.startswith(f"{kind} ") and " tiny " in name}
        known = sorted({name.split()[1] for name in tiny})
        sound = all(not row["collectives"] and not row["wide"] and row["donated"] for row in tiny.values())
        found = "no collective, no 64-bit float, state in place" if sound else "not all are sound"
        lines += ["", f"{kind}: tiny steps of {len(known)} methods, images on the device and on the host: {found}."]
    FILE.with_suffix(".md").write_text("\n".join(lines) + "\n")


def papers(kind: str, options: argparse.Namespace) -> None:
    """Compiles the papers' networks, every method, form and number of runs."""
    overrides = {key: ast.literal_eval(value) for key, value in (each.split("=", 1) for each in options.set)}
    images = ImageSpec((SIDE, SIDE, options.colors), IMAGES)
    platform = "gpu" if targets.targets()[kind].chip else "tpu"
    for runs in options.runs:
        for method, form in itertools.product(options.methods or METHODS, options.forms or [conv.FORMS[platform]]):
            began = time.monotonic()
            config = make_config(method, overrides)
            with forced(form):
                population, found = programs.step(config, images, kind, runs, options.chips)
            made = row(found, programs.needed_flops(population), runs // options.chips)
            made["compile_minutes"] = round((time.monotonic() - began) / 60)
            chips = f" on {options.chips}" if options.chips > 1 else ""
            other = " ".join(["", *options.set, *["grey"] * (options.colors == 1)])
            store(f"{kind} {method} {runs} {form}{chips}{other}", made)
            if form == conv.FORMS[platform] and not chips:
                key = table.key_of(config, images.shape, kind)
                table.add(table.FILE, key, {runs: forecast.cost(population, found)})


def every(kind: str, options: argparse.Namespace) -> None:
    """Compiles a tiny step of every method, two runs on each chip, with its images on the device and on the host."""
    chips, on = options.chips, f" on {options.chips}" if options.chips > 1 else ""
    for name in options.methods or sorted(methods.specs()):
        units = {"model.latents": 3} if methods.choose(name).flat else {"model.allocation": (2, 1)}
        for memory in ("device", "host"):
            config = make_config(name, {**TINY, **units, "data.memory": memory})
            population, found = programs.step(config, ImageSpec((16, 16, 3), 96), kind, 2 * chips, chips)
            store(f"{kind} {name} tiny {memory}{on}", row(found, programs.needed_flops(population), 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help=", ".join(targets.targets()))
    parser.add_argument("--runs", type=int, nargs="+", default=SIZES)
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--forms", nargs="+", choices=["lax", "products"], help="by default that of the device")
    parser.add_argument("--chips", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=(), help="keys of the config: model.allocation=4,6")
    parser.add_argument("--colors", type=int, default=3)
    parser.add_argument("--every", action="store_true", help="tiny steps of every method")
    options = parser.parse_args()
    if not options.kinds:
        write_table(read_json(FILE))
    for kind in options.kinds:
        if options.every:
            every(kind, options)
        else:
            papers(kind, options)


if __name__ == "__main__":
    main()
