"""Restores the states of a population: from its newest checkpoint, from that of a step, or from its best states."""

import contextlib
import operator
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import jax

from scaledis.core import UserError, hosts, registry
from scaledis.sweeps.best import KEY
from scaledis.training.population import Population
from scaledis.types import ImageSpec, RunState
from scaledis.workdir import best
from scaledis.workdir.best import BEST, Best
from scaledis.workdir.checkpoint import Checkpoints, Damaged
from scaledis.workdir.layout import Workdir

Step = int | str | None  # of a checkpoint; "best" for that of the best states, None for the newest undamaged one


class NoCheckpoint(UserError):
    """A population has no checkpoint that can be read."""


class Place(NamedTuple):
    """The checkpoint of a population that belongs to a Step.

    checkpoints: those of the population, or those of its best states.
    step: the step of the checkpoint; None for the newest undamaged one.
    best: the best steps of the runs, if the Step is "best".
    former: the number of the population in which each run trained at the step, if the step is before a rung.
    """

    checkpoints: Checkpoints
    step: int | None
    best: Best | None = None
    former: Mapping[str, int] = MappingProxyType({})

    def steps(self, names: Sequence[str], reached: int | None = None) -> list[int | None]:
        """Returns the step of each run in the checkpoint; None for a run that has no best step.

        If the place has no `step`, it is `reached`, by default the newest step.
        """
        if self.best:
            return [self.best.step(name) for name in names]
        return [self.step or reached or self.checkpoints.newest] * len(names)

    def check(self, name: str) -> None:
        """Raises NoCheckpoint for a run that has no best step."""
        if self.best and self.best.step(name) is None:
            raise NoCheckpoint(f"step: {name} has no best state, since it never had a number {self.best.by}.")


def place(workdir: Workdir, index: int, step: Step = None) -> Place:
    """Returns where population `index` of the plan has a step.

    Raises NoCheckpoint if it has no checkpoint or not this one, or if the best steps are damaged, and UserError for
    another word than "best".
    """
    checkpoints, names = Checkpoints(workdir.checkpoints(index)), ", ".join(workdir.planned()[index].names)
    if not checkpoints.steps:
        raise NoCheckpoint(f"workdir: {workdir.root} has no checkpoint of {names}.")
    if not isinstance(step, str):
        former = {} if step is None or step in checkpoints.steps else _former(workdir, index, step)
        if step is not None and step not in checkpoints.steps and not former:
            known = f"there are {checkpoints.steps}, and train.keep says how many are kept"
            raise NoCheckpoint(f"step: there is no checkpoint of step {step}; {known}.")
        return Place(checkpoints, step, former=former)
    if step != BEST:
        raise UserError(f"step: {registry.short(step)} must be a whole number or {BEST!r}.")
    checkpoints = best.checkpoints(workdir, index)
    try:
        held = best.read(checkpoints)
    except Damaged as damage:
        raise NoCheckpoint(f"step: the best states of {names} are damaged: {damage}.") from damage
    if held is None:
        raise NoCheckpoint(f"step: no best states of {names} are kept; {KEY}=elbo_nats keeps them while a run trains.")
    return Place(checkpoints, checkpoints.newest, held)


def _former(workdir: Workdir, index: int, step: int) -> dict[str, int]:
    """Returns {run of population `index`: the number of an earlier population that has its checkpoint of `step`}.

    Returns {} if no earlier population has that checkpoint of one of the runs.
    """
    groups = workdir.groups()
    found: dict[str, int] = {}
    for number in range(index - 1, -1, -1) if workdir.rungs.exists() else ():
        checkpoints = Checkpoints(workdir.checkpoints(number))
        if step in checkpoints.steps:
            found = dict.fromkeys(_held(checkpoints, groups[number]), number) | found
        if found.keys() >= {*groups[index]}:
            return {name: found[name] for name in groups[index]}
    return {}


def restore(
    workdir: Workdir, index: int, step: Step = None, population: Population | None = None
) -> tuple[Population, RunState, int]:
    """Restores population `index` of the plan and returns it with its states [R] and their step.

    Its checkpoint may hold runs that the plan no longer has in this population, because they went on in another one
    from a rung; these are left out. The states of a `step` before a rung come from the populations in which the runs
    trained then.

    Args:
      workdir: the work directory; nothing in it changes.
      index: the number of the population.
      step: the step of a checkpoint; by default that of the newest undamaged one. "best" restores each run at its best
        step (`Place.steps`); the step that is returned is then the last one at which any run was better than before.
      population: the population to restore; by default it is built from the configs and image shapes in the work
        directory.

    Raises NoCheckpoint if there is no checkpoint, none of this step, or a damaged one, and UserError for a checkpoint
    of another structure.
    """
    names, found = workdir.planned()[index].names, place(workdir, index, step)
    population = population or _population(workdir, index, names)
    if not found.former and _held(found.checkpoints, names) == names:
        return population, *_restored(workdir, found, population, names)
    rows: dict[str, RunState] = {}
    for number in sorted({found.former.get(name, index) for name in names}):
        own = found._replace(checkpoints=Checkpoints(workdir.checkpoints(number))) if found.former else found
        states, reached = _restored(workdir, own, stored(workdir, number, own.checkpoints), names)
        host, held = hosts.fetch(states), _held(own.checkpoints, workdir.groups()[number])
        rows |= {name: jax.tree.map(operator.itemgetter(slot), host) for slot, name in enumerate(held)}
    return population, population.gather([rows[name] for name in names]), reached


def stored(workdir: Workdir, index: int, checkpoints: Checkpoints) -> Population:
    """Returns the population in the checkpoints of population `index`, with the runs that went on in another one."""
    return _population(workdir, index, _held(checkpoints, workdir.planned()[index].names))


def _population(workdir: Workdir, index: int, names: Sequence[str]) -> Population:
    """Returns the runs `names` as a population with the allocation of population `index`."""
    facts = workdir.dataset_of(names[0])
    if not facts:
        raise UserError(f"workdir: {workdir.root} does not say which images {names[0]} was trained on.")
    images, padded = ImageSpec(tuple(facts["image_shape"]), facts["train_size"]), workdir.planned()[index].padded
    return Population([workdir.read_config(name) for name in names], images, allocation=padded)


def _restored(workdir: Workdir, found: Place, population: Population, names: Sequence[str]) -> tuple[RunState, int]:
    """Returns the states of a population at a place, with their step."""
    step = found.step
    if step is not None:
        try:
            return found.checkpoints.restore(population.shapes, step), step
        except Damaged as damage:
            raise NoCheckpoint(f"step: the checkpoint of step {step} of {names[0]} is damaged: {damage}.") from damage
    newest = found.checkpoints.restore_newest(population.shapes)
    if newest is None:
        raise NoCheckpoint(f"workdir: every checkpoint of {', '.join(names)} in {workdir.root} is damaged.")
    return newest[1], newest[0]


def _held(checkpoints: Checkpoints, names: list[str]) -> list[str]:
    """Returns the runs in the checkpoints of a population: `names`, and runs that went on in another population."""
    for step in reversed(checkpoints.steps):
        with contextlib.suppress(Damaged):
            held = checkpoints.manifest(step).get("runs", names)
            return held if set(names) < set(held) else names
    return names
