"""`scaledis list`, `scaledis describe` and `scaledis prepare`: whatever there is to choose from."""

from dataclasses import dataclass
from pathlib import Path

from scaledis import datasets
from scaledis.commands.experiment import Experiment
from scaledis.core import registry
from scaledis.core.command import option, positional
from scaledis.datasets.base import sampling
from scaledis.report import describe
from scaledis.report.pictures import contact
from scaledis.sweeps import config_file


@dataclass
class List(Experiment):
    """Prints all methods, data sets, metrics, networks, estimators, sweeps and configs by name.

    examples:
      scaledis list
      scaledis list --config=mine.py                              with the sweeps of the file
    """

    word = "list"

    def execute(self) -> None:
        """Prints the names."""
        print(describe.everything(self.namespace))
        print(f"\nConfigs (scaledis train NAME)\n  {', '.join(config_file.names())}")


@dataclass
class Describe(Experiment):
    """Prints the equation and the keys of a method, the options of a metric; draws a data set.

    examples:
      scaledis describe beta_stcvae
      scaledis describe rendered                                  writes rendered.png
      scaledis describe network --config=configs/3dshapes.py      the tree of parameters of a run
    """

    word = "describe"
    thing: str = positional("a method, metric, network, estimator, sweep or data set, or the word `network`")
    data_dir: str | None = option("the directory of data sets; default: data.directory")

    def execute(self) -> None:
        """Prints the description, or writes the picture. Raises UserError for an unknown name."""
        if self.thing == describe.NETWORK:
            _ = self.directory  # says that a config or a directory is missing
            config = self.runs()[0].config
            print(describe.tree(config, sampling.load_dataset(config.data)))
        elif self.thing in datasets.names():
            data = self.settings
            folder = self.data_dir or data.directory
            dataset = datasets.load(self.thing, folder, path=data.path, resolution=data.resolution)
            print(contact.write(dataset, Path(f"{self.thing}.png")))
        else:
            print(describe.anything(self.thing, self.namespace))


@dataclass
class Prepare(Experiment):
    """Downloads a data set, or takes the file that lies in its place, verifies it and writes it for training.

    examples:
      scaledis prepare dsprites --data_dir=~/data
    """

    word = "prepare"
    dataset: str = positional("the data set")
    data_dir: str | None = option("the directory of data sets; default: data.directory")

    def execute(self) -> None:
        """Prepares the data set and prints its size and factors. Raises UserError for a file of other content."""
        registry.check("prepare", self.dataset, datasets.names())
        data = self.settings
        folder = self.data_dir or data.directory
        dataset = datasets.load(
            self.dataset, folder, path=data.path, download=True, accept_checksum=data.accept_checksum
        )
        print(describe.dataset(dataset))
