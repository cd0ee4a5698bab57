"""The report as one self-contained HTML page, and its table of scores as text."""

import base64
import html
import json
import math
import statistics
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from scaledis.report.figures import DPI, Summary
from scaledis.workdir import write_bytes

MISSING = "–"


class Picture(NamedTuple):
    """A figure on the page."""

    png: bytes
    caption: str


class Row(NamedTuple):
    """A line of the table: a method's mean over its runs, or one of several runs below it."""

    name: str
    cells: list[tuple[str, bool]]  # a score as text, and whether it is the best mean of its metric
    summary: bool


def metrics(runs: Iterable[Summary]) -> list[str]:
    """The metrics that any run has, in the order in which they first appear."""
    return list(dict.fromkeys(metric for run in runs for metric in run.scores))


def summarize(runs: Sequence[Summary]) -> list[Row]:
    """The lines of the table: for each method mean ± sample standard deviation over its runs, then the runs if several.

    The best mean of a metric is marked where at least two methods have one. Scores that are missing or not finite
    are left out of the mean; a single run has no deviation.
    """
    methods: dict[str, list[Summary]] = {}
    for run in runs:
        methods.setdefault(run.setting, []).append(run)
    names = metrics(runs)
    scores = {method: {name: _finite(members, name) for name in names} for method, members in methods.items()}
    best = {name: _best([of[name] for of in scores.values()]) for name in names}
    rows = []
    for method, members in methods.items():
        means = [(_spread(scores[method][name]), _mean(scores[method][name]) == best[name]) for name in names]
        several, scored = len(members) > 1, sum(bool(run.scores) for run in members)
        rows.append(Row(f"{method} ({scored}/{len(members)} seeds)" if several else members[0].name, means, True))
        for run in members if several else ():
            rows.append(Row(run.name, [(_spread(_finite([run], name)), False) for name in names], False))
    return rows


def _finite(runs: Iterable[Summary], metric: str) -> list[float]:
    scores = [run.scores.get(metric) for run in runs]
    return [float(score) for score in scores if score is not None and math.isfinite(score)]


def _mean(scores: list[float]) -> float:
    """The mean as printed, so that two equal numbers on the page are equally good; NaN of none."""
    return round(statistics.fmean(scores), 3) if scores else math.nan


def _best(scores: Iterable[list[float]]) -> float:
    means = [_mean(values) for values in scores if values]
    return max(means) if len(means) > 1 else math.nan


def _spread(scores: list[float]) -> str:
    if not scores:
        return MISSING
    return f"{_mean(scores):.3f}" + (f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else "")


def legend(runs: Sequence[Summary], dataset: str, backend: str | None) -> str:
    """What stands in the table: data set, statistic, the classifier behind DCI, and the runs that diverged."""
    several = len(runs) > len({run.setting for run in runs})
    frozen = [f"{run.name} (step {run.diverged_at:,})" for run in runs if run.diverged_at is not None]
    parts = [f"Data set: {dataset}."]
    parts += ["Mean ± sample standard deviation over seeds."] if several else []
    parts += [f"DCI by {backend}."] if backend else []
    parts += [f"Frozen because the loss was no longer finite: {'; '.join(frozen)}."] if frozen else []
    return " ".join(parts)


def table(runs: Sequence[Summary], dataset: str, backend: str | None = None) -> str:
    """The table of scores as aligned Markdown, for a terminal or a README; the best mean of a metric is bold.

    Args:
      runs: in the order of the table; one without scores gets dashes.
      dataset: name of the data set.
      backend: the classifier behind DCI.
    """
    lines = [["run", *metrics(runs)]]
    for row in summarize(runs):
        cells = [f"**{text}**" if best else text for text, best in row.cells]
        lines.append([row.name if row.summary else f"· {row.name}", *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first, *rest = (
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |" for line in lines
    )
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([first, rule, *rest, "", legend(runs, dataset, backend)])


def render(
    title: str,
    dataset: str,
    runs: Sequence[Summary],
    pictures: Sequence[Picture] = (),
    *,
    levels: Sequence[Summary] = (),
    summary: str = "",
    facts: Mapping[str, object] = MappingProxyType({}),
    command: str = "",
    config: Mapping[str, Any] = MappingProxyType({}),
    backend: str | None = None,
) -> str:
    """The page as HTML that needs nothing else: style and pictures are inside, there is no script.

    Args:
      title, summary: what the page is, in a heading and a sentence.
      dataset, runs, backend: as in `table`.
      levels: the runs once more for each of their levels, with the scores of that level's units alone.
      facts: steps, seeds, machine, date, ...: name -> value.
      command: the command that made it.
      config: nested dictionary; values that are not JSON are shown as text.
    """
    facts = {"data set": dataset, **facts}
    items = "".join(f"<div><dt>{_text(key)}</dt><dd>{_text(value)}</dd></div>" for key, value in facts.items())
    parts = [
        f"<header><h1>{_text(title)}</h1>",
        f"<p>{_text(summary)}</p>" if summary else "",
        f"<dl>{items}</dl>",
        f"<pre>{_text(command)}</pre>" if command else "",
        f"</header><section><h2>Scores</h2>{_scores(runs)}",
        f"<p class=note>{_text(legend(runs, dataset, backend))}</p></section>",
        *map(_figure, pictures),
        f"<section><h2>Scores of each level's units alone</h2>{_scores(levels)}</section>" if levels else "",
        f"<details><summary>Configuration</summary><pre>{_text(_dotted(config))}</pre></details>" if config else "",
    ]
    return _PAGE.format(title=_text(title), style=_STYLE, body="\n".join(filter(None, parts)))


def write(path: str | Path, text: str) -> None:
    """Writes `text` as UTF-8 under a temporary name, then renames it: a reader never sees half a page."""
    write_bytes(Path(path), text.encode(errors="backslashreplace"))


def _text(value: object) -> str:
    return html.escape(str(value))


def _scores(runs: Sequence[Summary]) -> str:
    names = metrics(runs)
    if not names:
        return "<p>No run has scores.</p>"
    lines = [
        "<div class=wide><table><thead><tr><th>run</th>",
        *(f"<th>{_text(name)}</th>" for name in names),
        "</tr></thead>",
    ]
    for row in summarize(runs):
        cells = "".join(f"<td>{f'<b>{text}</b>' if best else text}</td>" for text, best in row.cells)
        lines.append(f"<tr class={'mean' if row.summary else 'seed'}><th>{_text(row.name)}</th>{cells}</tr>")
    return "".join([*lines, "</table></div>"])


def _figure(picture: Picture) -> str:
    (pixels,) = struct.unpack(">I", picture.png[16:20])  # the width in a PNG file's header
    data, caption = base64.b64encode(picture.png).decode(), _text(picture.caption)
    image = f'<img alt="{caption}" style="--width:{96 * pixels // DPI}px" src="data:image/png;base64,{data}">'
    return f"<figure><div class=wide>{image}</div><figcaption>{caption}</figcaption></figure>"


def _dotted(config: Mapping[str, Any], prefix: str = "") -> str:
    """A nested dictionary as lines `outer.inner = value`, the form in which the command line takes them."""
    lines = []
    for key, value in config.items():
        nested = isinstance(value, Mapping) and value
        lines.append(
            _dotted(value, f"{prefix}{key}.") if nested else f"{prefix}{key} = {json.dumps(value, default=str)}"
        )
    return "\n".join(lines)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>{style}</style></head>
<body><main>
{body}
</main></body></html>
"""

_STYLE = """
:root { --paper: #fff; --ink: #1c1c1e; --muted: #6f6f76; --rule: #dcdce2; --shade: #f6f6f8 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17181b; --ink: #e6e6ea; --muted: #9b9ba5; --rule: #34353b; --shade: #202126 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1.05rem/1.55 Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Georgia, serif }
main { display: grid; grid-template-columns: 1fr min(46rem, 100%) 1fr; gap: 2.5rem 0; padding: 4rem 1.25rem }
main > * { grid-column: 2; min-width: 0 }
h1, h2, p { margin: 0 0 .6rem }
h1 { font-size: 1.9rem; line-height: 1.2; text-wrap: balance } h2 { font-size: 1.2rem }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .8rem 1.5rem; margin: 1.4rem 0;
  padding: 1rem 0; border-block: 1px solid var(--rule) }
dt, .note, figcaption, summary, thead th { color: var(--muted); font: .85rem/1.45 system-ui, sans-serif }
dd { margin: 0; overflow-wrap: anywhere }
pre { margin: 0; padding: .7rem .9rem; background: var(--shade); border-radius: .4rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font: .82rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace }
.wide { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font: .92rem/1.4 system-ui, sans-serif;
  font-variant-numeric: tabular-nums }
th, td { padding: .35rem 0 .35rem 1.2rem; text-align: right; white-space: nowrap; font-weight: 400 }
th:first-child { padding-left: 0; text-align: left; white-space: normal }
thead th { border-bottom: 1px solid var(--ink) }
.mean > * { padding-top: .7rem }
.seed > * { padding-block: .1rem; color: var(--muted); font-size: .85rem }
.seed th:first-child { padding-left: 1rem }
tbody tr:last-child > * { border-bottom: 1px solid var(--rule); padding-bottom: .7rem }
.note { margin: .7rem 0 0 }
figure { grid-column: 1 / -1; margin: 0 }
img { display: block; width: var(--width); max-width: 100%; min-width: min(var(--width), 46rem); height: auto;
  margin: 0 auto; background: #fff; border-radius: .4rem }
figcaption { max-width: 46rem; margin: .6rem auto 0 }
summary { cursor: pointer; margin-bottom: .6rem }
@media (prefers-color-scheme: dark) { img { filter: brightness(.9) } }
@media print {
  :root { --paper: #fff; --ink: #000; --muted: #555; --rule: #ccc; --shade: #f6f6f8 }
  body { font-size: 10pt } main { padding: 0; gap: 1.5rem 0 }
  figure, table { break-inside: avoid }
  img { min-width: 0; filter: none }
}
"""
