"""`scaledis list`, `scaledis describe` and `scaledis prepare`: the names to choose from."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scaledis import datasets
from scaledis.commands.experiment import Configured, Experiment
from scaledis.core import registry
from scaledis.core.command import option, positional
from scaledis.datasets.base import sampling
from scaledis.report import describe
from scaledis.report.pictures import contact
from scaledis.sweeps import config_file


@dataclass
class List(Configured):
    """Prints all methods, data sets, metrics, networks, estimators, criteria, sweeps and configs by name.

    examples:
      scaledis list
      scaledis list --config=mine.py                              the sweeps of this file too
    """

    word = "list"

    def execute(self) -> None:
        """Prints the names."""
        print(describe.everything(self.namespace))
        print(f"\nConfigs (scaledis train NAME)\n  {', '.join(config_file.names())}")


@dataclass
class Describe(Experiment):
    """Explains one name: prints a method's equation and keys or a metric's options, or draws a data set.

    examples:
      scaledis describe beta_stcvae
      scaledis describe config                                    all keys with their defaults, bounds and meanings
      scaledis describe rendered                                  writes rendered.png
      scaledis describe dci
      scaledis describe network --config=configs/3dshapes.py      all parameters with their shapes
    """

    word = "describe"
    thing: str = positional("a name of `scaledis list`; or `config`, or `network`")
    data_dir: str | None = option("the directory of data sets; short for --config.data.directory")

    @property
    def short(self) -> Mapping[str, object]:
        return {**super().short, "data.directory": self.data_dir}

    def execute(self) -> None:
        """Prints the description, or writes the picture. Raises UserError for an unknown name."""
        if self.thing == describe.NETWORK:
            _ = self.directory  # raises UserError if both a config and a directory are missing
            config = self.runs()[0].config
            print(describe.tree(config, sampling.load_dataset(config.data)))
        elif self.thing in datasets.names():
            dataset = sampling.load_dataset(dataclasses.replace(self.settings, name=self.thing))
            print(contact.write(dataset, Path(f"{self.thing}.png")))
        else:
            print(describe.anything(self.thing, self.namespace))


@dataclass
class Prepare(Configured):
    """Downloads a published data set, unless its file is there, verifies the file and converts it for training.

    examples:
      scaledis prepare dsprites
      scaledis prepare shapes3d --data_dir=~/data
      scaledis prepare mpi3d_toy --config.data.accept_checksum=True
    """

    word = "prepare"
    dataset: str = positional("the data set, such as dsprites; `scaledis list` has all")
    data_dir: str | None = option("the directory of data sets; short for --config.data.directory")

    @property
    def short(self) -> Mapping[str, object]:
        return {"data.directory": self.data_dir}

    def execute(self) -> None:
        """Prepares the data set and prints its size and factors. Raises UserError for a file of other content."""
        registry.check("prepare", self.dataset, datasets.names())
        options = sampling.options(self.settings) | {"name": self.dataset}
        print(describe.dataset(datasets.load(**options, download=True)))
