"""The report as one self-contained HTML page: assets/page.* filled with the runs as JSON, which the script draws."""

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaledis.metrics.of_models.shared.coding import DEAD
from scaledis.report import scores, template
from scaledis.report.pictures import sprites
from scaledis.report.pictures.figures import rows_of_terms, words
from scaledis.report.scores import by_setting
from scaledis.report.summary import Summary, best_factor, listed, selectivity, source, units
from scaledis.report.template import ASSETS

PICTURES = 6_000_000  # bytes that the pictures of all runs take together
POINTS = 160  # of a curve


def render(
    title: str,
    runs: Sequence[Summary],
    facts: Mapping[str, object] | None = None,
    command: str = "",
    config: Mapping[str, Any] | None = None,
    swept: bytes | None = None,
) -> str:
    """The page as text. Whatever it is given is escaped: names may hold any character.

    Args:
      title: heading of the page.
      runs: in the order of the table.
      facts: shown in the head, such as {"Steps": "4,000", "Date": ..}.
      command: the command line that made the runs.
      config: what they have in common, by dotted key; values that are not JSON are shown as text.
      swept: the picture of the sweep (`sweeps.figure`), a PNG file.
    """
    facts = {"Data set": listed(run.dataset for run in runs), **(facts or {})}
    settings = [f"{key} = {json.dumps(value, default=str)}" for key, value in (config or {}).items()]
    return template.fill(
        ASSETS,
        "page",
        title=html.escape(title),
        sentence=html.escape(sentence(runs)),
        facts="".join(
            f"<div><dt>{html.escape(key)}</dt><dd>{html.escape(str(facts[key]))}</dd></div>" for key in facts
        ),
        table=html.escape(scores.table(runs)),
        sweep=_section_of_sweep(swept) if swept else "",
        command=html.escape(command),
        config=html.escape("\n".join(settings)),
        data=template.as_json(data(runs)),
    )


def _section_of_sweep(picture: bytes) -> str:
    """The section with the picture of the sweep."""
    address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    words = "Scores over the swept keys, means over seeds with their 95 % intervals; a ring is the best of its column."
    image = f'<img class="sweep" src="{address}" alt="Scores over the swept keys; the table above has their numbers">'
    wide = f'<div class="wide" tabindex="0" role="region" aria-label="Picture of the sweep">{image}</div>'
    return f'<section id="sweep"><h2>The sweep</h2><p class="note">{words}</p>{wide}</section>'


def sentence(runs: Sequence[Summary]) -> str:
    """What was trained and what came out, in one sentence."""
    settings, steps = by_setting(runs), listed(f"{run.step:,}" for run in runs)
    trained = " and ".join(settings) if len(settings) < 3 else f"{len(settings)} settings"
    seeds = f" ({len(runs)} runs)" if len(runs) > len(settings) else ""
    told = f"{trained}{seeds} trained on {listed(run.dataset for run in runs)} for {steps} steps"
    rows = scores.data(runs).get("all", {"metrics": [""], "rows": []})
    metric = rows["metrics"][0]
    means = sorted(((row["cells"][0]["mean"], row["setting"]) for row in rows["rows"] if row["cells"][0]), reverse=True)
    if not means:
        return f"{told}; no run has scores."
    mean, name = means[0]
    if len(means) == 1:
        return f"{told}; {metric} came out at {mean:.3f}."
    return f"{told}; {name} has the highest {metric}, {mean:.3f}, before {means[1][1]} with {means[1][0]:.3f}."


def data(runs: Sequence[Summary]) -> dict[str, Any]:
    """All that the page's script draws, as JSON can hold it."""
    drawn = sum(run.traversals is not None for run in runs)
    terms = [
        term
        for row in rows_of_terms(dict.fromkeys(key for r in runs for line in r.records for key in line))
        for term in row
    ]
    return {
        "scores": scores.data(runs),
        "legend": scores.legend(runs),
        "source": source(runs),
        "terms": [{"key": term, "words": words(term)} for term in terms],
        "runs": [_run(run, terms, PICTURES // max(drawn, 1)) for run in runs],
    }


def _run(run: Summary, terms: Sequence[str], budget: int) -> dict[str, Any]:
    shares = None if run.shares is None or not run.factor_names else _numbers(run.shares)
    return {
        "name": run.name,
        "setting": run.setting,
        "source": source([run]),
        "scores": {name: score for name, score in list(run.scores.items())[:3] if math.isfinite(score)},
        "diverged": run.diverged_at,
        "levels": len(run.allocation),
        "factors": run.factor_names,
        "shares": shares,
        "edits": None if run.changes is None else _edits(run),
        "units": [_unit(run, unit) for unit in range(sum(run.allocation))],
        "curves": _curves(run, terms),
        **_pictures(run, budget),
    }


def _unit(run: Summary, unit: int) -> dict[str, Any]:
    level, place = units(run.allocation)[unit]
    kl = None if run.kl is None or not math.isfinite(run.kl[unit]) else float(run.kl[unit])
    return {
        "level": level,
        "place": place,
        "kl": kl,
        "dead": kl is not None and kl < DEAD,
        "best": best_factor(run, unit),
    }


def _edits(run: Summary) -> dict[str, Any]:
    """The selectivity of all edits and of each level's, bottom first; of each unit its own factor and how it shares."""
    places, levels = units(run.allocation), range(1, len(run.allocation) + 1)
    return {
        "all": selectivity(run, range(len(places))),
        "levels": [selectivity(run, [n for n, (at, _) in enumerate(places) if at == level]) for level in levels],
        "units": [
            None if factor is None else {"factor": factor, "own": selectivity(run, [unit]), "next": _next(run, unit)}
            for unit, factor in enumerate(run.edited)
        ],
    }


def _next(run: Summary, unit: int) -> tuple[str, float] | None:
    """The factor that an edit changes most beside its own, and its share of all changes; None where it changes none."""
    changes = [float(share) for share in run.changes[unit]]
    others = [pair for pair in zip(changes, run.factor_names, strict=True) if pair[1] != run.edited[unit]]
    share, name = max(others, default=(0.0, ""))
    return (name, share / sum(changes)) if share else None


def _pictures(run: Summary, budget: int) -> dict[str, Any]:
    """The traversals of all units, the reconstructions and the samples, each as one picture; {} if not drawn."""
    if run.traversals is None:
        return {}
    rows = [unit[None] for unit in np.asarray(run.traversals)]
    pairs = (
        [np.stack([_unit_range(run.originals), _unit_range(run.reconstructions)])] if run.originals is not None else []
    )
    samples = [np.asarray(run.samples)[None]] if run.samples is not None else []
    found = sprites.tables([*rows, *pairs, *samples], budget)
    return {
        "traversals": found[: len(rows)],
        "frames": rows[0].shape[1],
        "reconstructions": {"picture": found[len(rows)], "count": pairs[0].shape[1]} if pairs else None,
        "samples": {"picture": found[-1], "count": samples[0].shape[1]} if samples else None,
    }


def _unit_range(images: np.ndarray) -> np.ndarray:
    """Images as floats in 0 to 1, so that originals and reconstructions stack."""
    return images / np.float32(255) if images.dtype == np.uint8 else np.asarray(images, np.float32)


def _curves(run: Summary, terms: Sequence[str]) -> dict[str, Any]:
    """{"steps": [n], term: [n]}, means over stretches of the log: at most `POINTS` of them."""
    by_step = {
        record["step"]: record for record in run.records
    }  # a step that was logged twice counts once, the last time
    stretches = np.array_split(sorted(by_step), min(POINTS, len(by_step))) if by_step else []
    curves: dict[str, Any] = {"steps": [float(steps[-1]) for steps in stretches]}
    for term in terms:
        means = []
        for steps in stretches:
            values = [by_step[step].get(term) for step in steps]
            finite = [value for value in values if value is not None and math.isfinite(value)]
            means.append(float(f"{np.mean(finite):.4g}") if finite else None)
        if any(mean is not None for mean in means):
            curves[term] = means
    return curves


def _numbers(matrix: np.ndarray) -> list[list[float | None]]:
    """A matrix as JSON has it: three decimals, and None for what is not finite."""
    return [[round(float(value), 3) if math.isfinite(value) else None for value in row] for row in matrix]
