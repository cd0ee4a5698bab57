"""The report as one self-contained HTML page: assets/page.* filled with the runs as JSON, which the script draws."""

import base64
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from scaledis.report import content, scores, search, template
from scaledis.report.scores import by_setting
from scaledis.report.summary import Summary, after, listed, measured, mixed, source
from scaledis.report.template import ASSETS
from scaledis.workdir.trials import Trials

PICTURES = 6_000_000  # bytes that the pictures of all runs take together
EFFORTS = ((82, 1), (60, 1), (40, 1), (60, 2), (30, 2), (20, 4))  # quality of WebP, and the stride of the pixels kept
POINTS = 160  # of a curve


def render(
    title: str,
    runs: Sequence[Summary],
    facts: Mapping[str, object] | None = None,
    command: str = "",
    config: Mapping[str, Any] | None = None,
    swept: bytes | None = None,
    aligned: bytes | None = None,
    tried: Trials | None = None,
) -> str:
    """The page as text. All arguments are escaped: names may hold any character.

    Args:
      title: heading of the page.
      runs: in the order of the table.
      facts: shown in the head, such as {"Steps": "4,000", "Date": ..}.
      command: the command line that made the runs.
      config: the keys that the runs share, by dotted key; values that are not JSON are shown as text.
      swept: the picture of the sweep (`sweeps.figure`), a PNG file.
      aligned: that of the units over seeds (`seeds.figure`).
      tried: the trials of the search that made the runs.
    """
    facts = {"Data set": listed(run.dataset for run in runs), **(facts or {})}
    beside = {"sweep": swept, "seeds": aligned}
    settings = [f"{key} = {json.dumps(value, default=str)}" for key, value in (config or {}).items()]
    return template.fill(
        ASSETS,
        "page",
        ["search"],
        title=html.escape(title),
        sentence=html.escape(sentence(runs)),
        facts="".join(
            f"<div><dt>{html.escape(key)}</dt><dd>{html.escape(str(facts[key]))}</dd></div>" for key in facts
        ),
        table=html.escape("\n\n".join([scores.table(runs), *([search.table(tried)] if tried else [])])),
        sweep="".join(_section(*SECTIONS[name], picture) for name, picture in beside.items() if picture),
        command=html.escape(command),
        config=html.escape("\n".join(settings)),
        data=template.as_json(data(runs) | {"search": search.data(tried) if tried else None}),
    )


SECTIONS = {  # of a picture: its identifier, heading, caption, and the text in its place
    "sweep": (
        *("sweep", "The sweep"),
        "Scores over the swept keys: means over seeds with 95 % intervals. A ring marks the best score of its column.",
        "Scores over the swept keys; the table above has their numbers",
    ),
    "seeds": (
        *("seeds", "Units over seeds"),
        "Traversals of the units of each seed, matched up to order and sign by rank correlation over the same images. "
        "On units in bold the seeds agree beyond chance.",
        "Traversals of matched units, one row per unit and one column per seed",
    ),
}


def _section(name: str, title: str, words: str, alternative: str, picture: bytes) -> str:
    """A section with a picture, a PNG file."""
    address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    image = f'<img class="sweep" src="{address}" alt="{alternative}">'
    wide = f'<div class="wide" tabindex="0" role="region" aria-label="Picture: {title}">{image}</div>'
    return f'<section id="{name}"><h2>{title}</h2><p class="note">{words}</p>{wide}</section>'


def sentence(runs: Sequence[Summary]) -> str:
    """Returns one sentence on the settings that were trained, and on the best of them by the first metric."""
    settings, steps = by_setting(runs), listed(f"{run.step:,}" for run in runs)
    trained = " and ".join(settings) if len(settings) < 3 else f"{len(settings)} settings"
    seeds = f" ({len(runs)} runs)" if len(runs) > len(settings) else ""
    told = f"{trained}{seeds} trained on {listed(run.dataset for run in runs)} for {steps} steps"
    found = scores.data(runs).get("all")
    rows = found.rows if found else []
    means = sorted(((row.cells[0].mean, row.setting) for row in rows if row.cells[0]), reverse=True)
    if not found or not means:
        return f"{told}; no run has scores yet, and scaledis evaluate computes them."
    metric, (mean, name) = found.metrics[0], means[0]
    if len(means) == 1:
        return f"{told}; {metric} is {mean:.3f}{after(runs)}."
    second = f"before {means[1][1]} with {means[1][0]:.3f}"
    return f"{told}; {name} has the highest {metric}, {mean:.3f}, {second}{after(runs)}."


def data(runs: Sequence[Summary]) -> dict[str, Any]:
    """All that the page's script draws, as JSON can hold it."""
    drawn = sum(run.traversals is not None for run in runs)
    terms = [term for row in content.rows_of_terms(runs) for term in row]
    return {
        "scores": _as_dicts(scores.data(runs)),
        "legend": scores.legend(runs),
        "source": source(runs),
        "terms": [{"key": term, "words": content.words(term)} for term in terms],
        "runs": [_run(run, terms, PICTURES // max(drawn, 1)) for run in runs],
        "means": {setting: _curves(members, terms) for setting, members in by_setting(runs).items() if members[1:]},
    }


def _run(run: Summary, terms: Sequence[str], budget: int) -> dict[str, Any]:
    known = content.heat_map(run)
    rows = known and known.shares.tolist()
    sources = {"source": source([run]), "measured": measured([run]), "mixed": mixed([run])}
    about = {"name": run.name, "setting": run.setting, **sources, "diverged": run.diverged_at}
    return about | {
        "scores": {name: score for name, score in list(run.scores.items())[:3] if math.isfinite(score)},
        "levels": len(run.allocation),
        "factors": run.factor_names,
        "shares": rows and [[round(x, 3) if math.isfinite(x) else None for x in row] for row in rows],
        "edits": _as_dicts(content.edits(run)),
        "units": _as_dicts(content.ladder(run)),
        "curves": _curves([run], terms),
        **_pictures(run, budget),
    }


def _as_dicts(value: Any) -> Any:
    """The value with a dict in place of every named tuple in it."""
    if isinstance(value, list):
        return [_as_dicts(each) for each in value]
    value = value._asdict() if hasattr(value, "_asdict") else value
    return {key: _as_dicts(each) for key, each in value.items()} if isinstance(value, dict) else value


def _pictures(run: Summary, budget: int) -> dict[str, Any]:
    """The traversals of all units, the reconstructions and the samples, each as one picture; {} if not drawn."""
    if run.traversals is None:
        return {}
    pairs, samples = content.reconstructed(run), None if run.samples is None else np.asarray(run.samples)[None]
    beside = {name: table for name, table in (("reconstructions", pairs), ("samples", samples)) if table is not None}
    rows = [unit[None] for unit in np.asarray(run.traversals)]
    found = as_pictures([*rows, *beside.values()], budget)
    last = zip(beside.items(), found[len(rows) :], strict=True)
    return {
        "traversals": found[: len(rows)],
        "frames": rows[0].shape[1],
        **dict.fromkeys(("reconstructions", "samples")),
        **{name: {"picture": picture, "count": table.shape[1]} for (name, table), picture in last},
    }


def as_pictures(tables: Sequence[np.ndarray], budget: int) -> list[str]:
    """Each table of images [R, S, H, W, C] as the data URI of one picture, R rows of S images without gaps.

    The quality is the best of `EFFORTS` with which all of them take at most `budget` bytes of text, or the last one.
    """
    found: list[str] = []
    for quality, stride in EFFORTS:
        found = [_uri(table[:, :, ::stride, ::stride], quality) for table in tables]
        if sum(map(len, found)) <= budget:
            break
    return found


def _uri(table: np.ndarray, quality: int) -> str:
    rows, columns, height, width = table.shape[:4]
    picture = content.pixels(table).transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _curves(runs: Sequence[Summary], terms: Sequence[str]) -> dict[str, Any]:
    """{"steps": [n], term: [n]}, means over runs and over stretches of the log: at most `POINTS` of them."""
    found = content.curves(runs, terms)
    stretches = np.array_split(np.arange(len(found.steps)), min(POINTS, len(found.steps))) if len(found.steps) else []
    shown: dict[str, Any] = {"steps": [float(found.steps[stretch[-1]]) for stretch in stretches]}
    for term in terms:
        mean = found.mean(term)
        finite = [mean[stretch][np.isfinite(mean[stretch])] for stretch in stretches]
        if any(map(len, finite)):
            shown[term] = [float(f"{np.mean(values):.4g}") if len(values) else None for values in finite]
    return shown
