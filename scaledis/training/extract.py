"""Copies one run out of its population into a new work directory, as if it had always trained alone."""

import dataclasses
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from scaledis import config as config_schema
from scaledis import methods
from scaledis.core import UserError, runtime
from scaledis.objectives import partition
from scaledis.sweeps import starts
from scaledis.training import best
from scaledis.training.load import find
from scaledis.training.model import active, hyperparameters
from scaledis.training.population import Population, select
from scaledis.training.restore import Step, place, restore, stored
from scaledis.types import NEVER, Pytree, Run, RunState
from scaledis.workdir import claims
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import Records

SCORES = ("scores.json", "scores", "codes.npz")  # of a run's folder


def extract(workdir: str | Path, name: str, to: str | Path, *, step: Step = None) -> None:
    """Writes run `name` of a work directory as the only run of the new directory `to`; the old one does not change.

    The state is that of the newest undamaged checkpoint, or of `step`, without the padding of the population. The log
    and the best state up to this step are copied too, and the scores if `step` is None.

    Raises UserError for an unknown run or step, for a run that was never trained or that this version cannot train
    further, if `to` already holds an experiment, and for a method whose arrays have their units in an unknown order.
    """
    source, target = Workdir(workdir), Workdir(to)
    index, slot = find(source, name)
    found = place(source, index, step)
    found.check(name)
    population, states, at = restore(source, index, step)
    came = found.former.get(name, index)
    checkpoints = Checkpoints(source.checkpoints(came)) if found.former else found.checkpoints
    checkpoints.check_whole(stored(source, came, checkpoints).shapes, at)
    run = Run(name, starts.alone(population.configs[slot]))
    alone = Population([run.config], population.images)
    state = without_padding(jax.device_get(select(states, slot)), population, alone)
    own = best.kept(source, index, run.config)
    bests = {
        key: each._replace(state=without_padding(each.state, population, alone))
        for key, each in own.items()
        if key == name and each.step <= state.step
    }
    with target.locked():
        if target.plan.exists():
            raise UserError(f"--to: {target.root} holds an experiment already; take another directory.")
        command = shlex.join(["scaledis", "extract", name, f"--workdir={source.root}", f"--to={target.root}"])
        base = {"config": config_schema.thaw(run.config), "sweep": [], "command": command, "begun": source.begun}
        claims.claim(target, base, [run])
        facts = source.dataset_of(name)
        target.write_config(run, facts)
        _copy(source.run(name) / "metrics.jsonl", target.run(name) / "metrics.jsonl")
        if state.diverged == NEVER:  # cuts what was logged later
            Records(target.run(name) / "metrics.jsonl", int(state.step), needs_seals=source.needs_seals)
        for each in SCORES if step is None else ():
            _copy(source.run(name) / each, target.run(name) / each)
        whole = jax.device_put(jax.tree.map(lambda leaf: np.asarray(leaf)[None], state), alone.program.by_run)
        held = checkpoints.manifest(at)
        about = {key: held[key] for key in runtime.conditions() if key in held}
        about |= {"runs": [name], "dataset": facts, "diverged": [int(state.diverged)]}
        best.write(target, 0, alone, {name: state}, bests, facts)
        Checkpoints(target.checkpoints(0)).save(int(state.step), whole, about)


def without_padding(run: RunState, population: Population, alone: Population) -> RunState:
    """Returns the state of one run of `population` as numpy arrays, in the shapes that it has when it trains `alone`.

    The units on an axis are found by how the axis grows with each level: it holds the units in the order of the levels,
    once, or several times in a layer that gives means and variances. An axis that grows with no level but is longer
    than that of the run belongs to a wider network, and its padding is at the end.
    """
    config, padded = alone.config, population.allocation

    def shapes(allocation: Sequence[int]) -> Pytree:
        model = dataclasses.replace(config.model, allocation=tuple(allocation))
        method = methods.build(dataclasses.replace(config, model=model), alone.images)
        return jax.eval_shape(method.init, jax.random.key(0), hyperparameters(config, allocation))

    own, start = shapes(alone.allocation), shapes(padded)
    grown = [shapes((padded + level).tolist()) for level in np.eye(len(padded), dtype=int)]

    def cut(
        leaf: np.ndarray, own: jax.ShapeDtypeStruct, start: jax.ShapeDtypeStruct, *grown: jax.ShapeDtypeStruct
    ) -> np.ndarray:
        for axis, size in enumerate(own.shape):
            if leaf.shape[axis] != size:
                growth = np.asarray([each.shape[axis] - start.shape[axis] for each in grown])
                kept = np.flatnonzero(_units(growth, units, padded)) if growth.any() else np.arange(size)
                if growth.any() and leaf.shape[axis] != growth @ padded or len(kept) != size:
                    name = config.method.name
                    raise UserError(f"extract: {name} has its units in an order that is not known here.")
                leaf = np.take(leaf, kept, axis)
        return leaf

    units = active(config, padded)
    return run._replace(state=jax.tree.map(cut, run.state, own, start, *grown))


def _units(growth: np.ndarray, units: np.ndarray, padded: Sequence[int]) -> np.ndarray:
    """Returns the mask of the run's entries on an axis that grows by `growth` [L] entries with each unit of a level."""
    there = growth[partition.level_of_unit(padded)] > 0
    return np.tile(units[there], growth.max())


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
