"""The report of a work directory: a page, and its pictures as files."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from matplotlib.figure import Figure

from scaledis.config import Config, differing, flatten, thaw
from scaledis.core import UserError, files, runtime, version
from scaledis.report import gather, page, scores, search
from scaledis.report.pictures import animation, canvas, figures, seeds, sweeps, traversals
from scaledis.report.pictures import search as search_picture
from scaledis.report.summary import Summary, listed
from scaledis.types import Run
from scaledis.workdir import trials
from scaledis.workdir.layout import Workdir

SHEETS = 4  # settings whose first seed the pictures show; the page shows all runs


@canvas.styled()
def write(groups: Sequence[Sequence[Run]], workdir: Workdir) -> str:
    """Writes report/index.html and its pictures from the newest checkpoints and scores; returns the table of scores.

    For a search they show all trials, and the runs of the best ones (`search.shown`). `groups` are the populations in
    the order of the plan. Raises UserError if no run has been trained.
    """
    left_out = workdir.dropped()
    runs = [run for group in groups for run in group if run.name not in left_out]
    summaries, tried = _some(gather.summaries(groups, workdir), workdir), trials.read(workdir.trials)
    of_runs = search_picture.figure(tried) if tried else sweeps.figure(runs, summaries)
    beside = {"search" if tried else "sweep": of_runs, "seeds": seeds.figure(summaries)}
    drawn = {name: canvas.png(each) for name, each in (pictures(summaries) | beside).items() if each}
    for name, png in drawn.items():
        files.write_bytes(workdir.report / f"{name}.png", png)
    if moving := animation.webp(_firsts(summaries)):
        files.write_bytes(workdir.report / "traversals.webp", moving)
    claim, apart = workdir.claimed(), gather.dropped(workdir) | ({"Shown": search.which(tried)} if tried else {})
    html = page.render(
        workdir.root.resolve().name,
        summaries,
        facts=facts(runs, summaries, claim) | apart,
        command=claim["command"],
        config=common([run.config for run in runs]),
        swept=drawn.get("sweep"),
        aligned=drawn.get("seeds"),
        tried=tried,
    )
    path = workdir.report / "index.html"
    files.write_bytes(path, html.encode(errors="backslashreplace"))
    return f"{_in_words(summaries, workdir)}\n\n{path}"


def table(groups: Sequence[Sequence[Run]], workdir: Workdir) -> str:
    """The table of the newest scores. Raises UserError if no run has been trained."""
    return _in_words(_some(gather.summaries(groups, workdir, drawn=0), workdir), workdir)


def _in_words(summaries: Sequence[Summary], workdir: Workdir) -> str:
    """Returns the table of scores, and below it how many runs were dropped, and the table of a search."""
    tried = trials.read(workdir.trials)
    dropped = [f" {title}: {words}." for title, words in gather.dropped(workdir).items()]
    return "".join([scores.table(summaries), *dropped, *([f"\n\n{search.table(tried)}"] if tried else [])])


def _some(summaries: Sequence[Summary], workdir: Workdir) -> Sequence[Summary]:
    if not summaries:
        raise UserError(f"workdir: {workdir.root} holds no trained run to report on.")
    return summaries


def pictures(summaries: Sequence[Summary]) -> dict[str, Figure]:
    """Returns the figures beside the page by name: of the first seed of each of the first settings."""
    firsts = _firsts(summaries)
    return {
        "traversals": traversals.sheet(firsts),
        "mutual_information": figures.mutual_information(firsts),
        "losses": figures.losses(summaries),
        "reconstructions": traversals.reconstructions(firsts),
        **({"edits": figures.edits(firsts)} if any(run.changes is not None for run in firsts) else {}),
    }


def _firsts(summaries: Sequence[Summary]) -> list[Summary]:
    return [members[0] for members in scores.by_setting(summaries).values()][:SHEETS]


def facts(runs: Sequence[Run], summaries: Sequence[Summary], claim: Mapping[str, Any]) -> dict[str, str]:
    """Returns the facts of training and scoring for the head of the page; if runs differ in one, all of its values.

    They are as they were recorded when runs were trained and scored; `claim` is the content of config.json.
    """
    configs = [run.config for run in runs]
    found = {
        "Images": listed(f"{summary.images:,}" for summary in summaries),
        "Steps": listed(f"{config.train.steps:,} of batch {config.train.batch}" for config in configs),
        "Seeds": listed(config.seed for config in configs),
        "Codes": listed(summary.codes for summary in summaries if summary.codes),
        "Split": listed(summary.split for summary in summaries if summary.split),
        "Trained on": listed(summary.machine for summary in summaries if summary.machine),
        "Trained by": listed(summary.trained_by for summary in summaries if summary.trained_by) or gather.code(claim),
        "Scored by": listed(summary.scored_by for summary in summaries if summary.scored_by),
        "Page made by": f"{gather.code(version.here())} on {runtime.machine()}",
        "Date": date.today().isoformat(),
    }
    return {title: words for title, words in found.items() if words}


def common(configs: Sequence[Config]) -> dict[str, Any]:
    """The keys in which all configs agree, with their values."""
    varying = differing(configs)
    return {key: value for key, value in flatten(thaw(configs[0])).items() if key not in varying}
