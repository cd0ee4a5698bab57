"""What the papers' experiments take of accelerators that nobody has booked, from programs that were compiled for them.

    python -m experiments.benchmarks.plans      # the tables of docs/scale.md, in experiments/results/plans.md

Nothing is measured or compiled: it reads scaledis/planning/programs.csv, which experiments.benchmarks.compiled writes.
The images are those of `rendered` and `rendered_dsprites`, which have the sizes of shapes3d and dsprites.
"""

import dataclasses
from collections.abc import Iterator

from experiments.tables import RESULTS
from scaledis.commands import Sweep
from scaledis.core.version import here
from scaledis.planning.forecast import Forecast, forecast
from scaledis.planning.targets import parse
from scaledis.types import Run

DEVICES = {  # and the precision of products for which their programs were compiled
    "v5e:16": "bfloat16",
    "v5e:256": "bfloat16",
    "h100:8": "float32",
}
SWEEPS = {  # in words: the arguments of `scaledis sweep`
    "Table 1": ("table1:paper", "table1"),
    "Table 2": ("table2:paper", "table2"),
    "100,000 runs of granularity": ("granularity:paper", "blocks", "method.beta=1,2,5,10,20", "seeds:5000"),
}
FILE = RESULTS / "plans.md"


def number(value: float) -> str:
    """Returns two digits of a bound, without a power of ten: 2,400, 12, 0.13."""
    return f"{float(f'{value:.2g}'):,g}"


def multiplying(run: Run, precision: str) -> Run:
    """Returns a run whose products have a precision."""
    train = dataclasses.replace(run.config.train, matmul_precision=precision)
    return run._replace(config=dataclasses.replace(run.config, train=train))


def lines(found: dict[tuple[str, str], Forecast]) -> Iterator[str]:
    """Yields the tables: all that a sweep takes of some devices, then each of its programs."""
    yield "| experiment | devices, products in | runs | hours, at least | chip-hours, at least | disk | without |"
    yield "| --- | --- | --: | --: | --: | --: | --- |"
    for (title, device), all_ in found.items():
        runs = sum(len(each.members) for each in all_.programs)
        without = sum(len(each.members) for each in all_.programs if each.row is None)
        missing = f"{without:,} runs" if without else ""
        hours = f"{number(all_.hours)} | {number(all_.chip_hours)}" if without < runs else " | "
        disk = f"{number(all_.disk / 1e9)} GB"
        yield f"| {title} | {device}, {DEVICES[device]} | {runs:,} | {hours} | {disk} | {missing} |"
    yield ""
    yield "| experiment | program, levels | host of | fit a chip | runs, on chips | steps/s, at most | from |"
    yield "| --- | --- | --- | --: | --: | --: | --- |"
    for (title, device), all_ in found.items():
        for each in all_.programs if device != "v5e:256" else ():  # its hosts are those of v5e:16
            start = f"| {title} | {each.key.method}, {each.key.levels} | {each.key.device}"
            if each.row is None:
                yield f"{start} | | | | none |"
            else:
                row = "its own" if each.row == each.key else each.row.method
                width = f"{each.populations[0]}, {each.chips[0]}"
                yield f"{start} | {each.fits:,} | {width} | {number(1 / each.seconds[0])} | {row} |"


def main() -> None:
    found = {}
    for title, (name, *product) in SWEEPS.items():
        runs = Sweep(name, product=tuple(product)).runs()
        for device, precision in DEVICES.items():
            found[title, device] = forecast([multiplying(run, precision) for run in runs], parse(device))
    text = "\n".join([f"Not measured, at commit {here()['commit']}.", "", *lines(found), ""])
    FILE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
