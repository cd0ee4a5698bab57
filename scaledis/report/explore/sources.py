"""The sources of the explorer: the runs of a work directory, or one saved model."""

import functools
from pathlib import Path

from scaledis import models
from scaledis.core import UserError, registry
from scaledis.datasets import Dataset
from scaledis.model import Model
from scaledis.report import gather
from scaledis.report.summary import Summary
from scaledis.training.restore import restore
from scaledis.types import Run
from scaledis.workdir.layout import Workdir


class Runs:
    """The models of a work directory by the names of their runs; `title` stands above them on the page.

    Raises UserError for one without trained runs, or whose runs lie outside of it.
    """

    def __init__(self, path: str | Path):
        self.workdir = Workdir(path)
        groups = self.workdir.groups()
        if not groups:
            missing = "no experiment (no plan.json) and no saved model (no model.json)"
            raise UserError(f"workdir: {self.workdir.root} holds {missing}.")
        self.places = {name: (index, slot) for index, names in enumerate(groups) for slot, name in enumerate(names)}
        root = self.workdir.root.resolve()
        for name, (index, _) in self.places.items():
            for path in (self.workdir.run(name), self.workdir.checkpoints(index)):
                if not path.resolve().is_relative_to(root):
                    raise UserError(f"workdir: {path} of run {registry.short(name)} leads out of {self.workdir.root}.")
        self.title, self.names = str(self.workdir.root), list(self.places)
        self.population = functools.cache(functools.partial(restore, self.workdir))

    def model(self, name: str) -> Model:
        """A run's model. Models of a population share one compilation."""
        index, slot = self.places[name]
        population, states, _ = self.population(index)
        return population.model(states, slot, self.workdir.dataset_of(name))

    def summary(self, name: str, model: Model, dataset: Dataset) -> Summary:
        """A run with its scores, and its units with their KL and their best factors."""
        return gather.summary(Run(name, model.config), name, dataset, self.workdir)._replace(step=model.step)


class Saved:
    """The model in a folder, or one that comes with the package. Raises what `load_model` raises."""

    def __init__(self, path: str | Path):
        self.loaded, self.title = models.load_model(path), str(path)
        self.names = [Path(path).absolute().name]

    def model(self, name: str) -> Model:
        return self.loaded

    def summary(self, name: str, model: Model, dataset: Dataset) -> Summary:
        """The model's data set and steps; its units have neither codes nor factors here."""
        return Summary(name, name, dataset=dataset.name, seed=model.config.seed, step=model.step)


def find(path: str | Path | None) -> Runs | Saved:
    """The source at a path, by default the model that comes with the package. Raises what the sources raise."""
    if path is None:
        return Saved(models.DEFAULT)
    return Saved(path) if models.folder_of(path) else Runs(path)
