"""--dry_run: the programs of a sweep with their memory and time, and its first runs; nothing is compiled."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scaledis.config import Config
from scaledis.core.progress import duration
from scaledis.planning.forecast import Forecast, ProgramForecast, Share
from scaledis.planning.sizes import sizes_of
from scaledis.sweeps import plan, starts
from scaledis.types import Run
from scaledis.workdir.checkpoint import Checkpoints, Damaged
from scaledis.workdir.layout import Workdir

SHOWN = 10  # names of runs


class Rate(NamedTuple):
    """How fast a population of a work directory was, and where it ran."""

    seconds_per_step: float
    runs: int
    device: str


def report(runs: Sequence[Run], workdir: Workdir, share: Share = starts.share) -> str:
    """Returns a text on the runs: their programs with the memory and the time of each, and the names of the first runs.

    Memory is that of the runs' states; what a step needs besides is known only once it is compiled. Time is known if
    the work directory has a checkpoint of the program, with the seconds that it took. Populations of a program are as
    large as the largest that has trained there, since a device may hold fewer runs than `train.parallel`. `share` is
    the section `train` -> the mean share of its steps for which a run trains; by default its own rungs determine it.
    """
    programs, rates = plan.programs(runs), logged(runs, workdir)
    parts = [part for members in programs for part in _program(members, rates, share)]
    populations = sum(len(_populations(members, rates)) for members in programs)
    title = ", ".join(
        [_number(len(runs), "run"), _number(len(programs), "program"), _number(populations, "population")]
    )
    names = [f"  {run.name}" for run in runs[:SHOWN]]
    more = [f"  and {len(runs) - SHOWN:,} more"] if len(runs) > SHOWN else []
    return "\n".join([title, "", *parts, "", "Runs:", *names, *more])


def on_devices(found: Forecast) -> str:
    """Returns a text on the hours, memory and disk that the runs take of devices; nothing of it was measured."""
    kind, target, count = found.devices
    hosts = _number(found.devices.hosts, "host")
    title = f"On {count:,} x {target.name} ({hosts}), as compiled and not measured (scaledis/planning/forecast.py):"
    parts = [line for each in found.programs for line in _on_devices(each, found)]
    known = [each for each in found.programs if each.row]
    runs = sum(len(each.members) for each in known)
    of_all = "" if len(known) == len(found.programs) else f", for {_number(runs, 'run')} alone"
    least = f"all     at least {_three(found.hours)} h, {_three(found.chip_hours)} chip-hours{of_all}"
    disk = f"disk    {_bytes(found.disk)} of checkpoints and codes"
    return "\n".join([title, "", *parts, "", *([least] if known else []), disk])


def _on_devices(each: ProgramForecast, found: Forecast) -> Iterator[str]:
    """Yields the lines of one program."""
    yield f"{each.key}: {_number(len(each.members), 'run')}"
    if each.row is None:
        near = found.nearest[each.key]
        yield f"  the table has no such program; the nearest is {near}; --compile adds this one"
        return
    if each.row != each.key:
        yield f"  taken from {each.row.method}, whose runs have a state of the same size"
    size, seconds = each.populations[0], each.seconds[0]
    compiled = " and ".join(map(str, each.widths)) + (" runs" if len(each.widths) > 1 else " alone, in proportion")
    yield f"  memory  a chip holds {_number(each.fits, 'run')}, as compiled for {compiled}"
    pace = f"{_three(1 / seconds)} steps/s of {_number(size, 'run')} on {_number(each.chips[0], 'chip')}"
    yield f"  time    at most {pace}, the start of {each.kernels:,} kernels a step left out"


def logged(runs: Sequence[Run], workdir: Workdir) -> dict[Config, Rate]:
    """Returns the rate of each program that has trained in the work directory: that of its largest population."""
    known = {run.name: run for run in runs}
    found: dict[Config, Rate] = {}
    for index, names in enumerate(workdir.groups()):
        checkpoints, manifest = Checkpoints(workdir.checkpoints(index)), {}
        with contextlib.suppress(Damaged):
            manifest = {} if checkpoints.newest is None else checkpoints.manifest(checkpoints.newest)
        if names and names[0] in known and manifest.get("step") and "seconds" in manifest:
            key = plan.shared(known[names[0]].config)
            rate = Rate(manifest["seconds"] / manifest["step"], len(names), manifest.get("device", "another device"))
            found[key] = max(rate, found.get(key, rate), key=lambda each: each.runs)
    return found


def _populations(members: Sequence[Run], rates: dict[Config, Rate]) -> list[list[Run]]:
    """Returns the populations of a program, no larger than the one whose rate is known."""
    rate, asked = rates.get(plan.shared(members[0].config)), plan.together(members)
    return plan.cut(members, min(asked, rate.runs) if rate else asked)


def _program(members: Sequence[Run], rates: dict[Config, Rate], share: Share) -> Iterator[str]:
    """Yields the lines of one program."""
    config = members[0].config
    populations = _populations(members, rates)
    methods = ", ".join(dict.fromkeys(run.config.method.name for run in members))
    levels = _number(len(config.model.allocation), "level")
    yield f"{methods}, {levels}: {_number(len(members), 'run')} in {_number(len(populations), 'population')}"
    yield f"  memory  {_memory(members, len(populations[0]))}"
    rate = rates.get(plan.shared(config))
    if rate is None:
        yield "  time    unknown: no run of this program has trained here"
        return
    steps = share(config.train) * config.train.steps
    seconds = steps * len(populations) * rate.seconds_per_step
    pace = f"{1 / rate.seconds_per_step:,.1f} steps/s of {_number(rate.runs, 'run')} on {rate.device}"
    yield f"  time    {duration(seconds)} at {pace}"


def _memory(members: Sequence[Run], together: int) -> str:
    """Returns the sizes of one run's state, padded as in its program, and of all states that train at once."""
    networks, state = sizes_of(members)
    parameters = f"{networks:,} parameters, " if networks else ""
    return f"{parameters}{_bytes(state)} of state a run, {_bytes(state * together)} for {together:,} at once"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + "s" * (count != 1)


def _three(number: float) -> str:
    """Returns a number with three digits that count, and no exponent."""
    if not number:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(number)))
    text = f"{float(f'{number:.3g}'):,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"
