"""scaledis: scale-aware disentanglement in hierarchical latent spaces.

    import scaledis

    data = scaledis.load_dataset("rendered", resolution=32)
    config = scaledis.make_config("scale_vlae", {"data.resolution": 32, "train.steps": 4000})
    [model] = scaledis.train(config, workdir="runs/mine")
    images, factors = data.sample(3000)
    codes = model.encode(images)
    scores = scaledis.score(codes.mean, factors)

Everything that is meant to be called from outside is listed here; docs/architecture.md says where the rest is. A door
is opened when it is first used, so that scaledis.metrics works without JAX.
"""

import importlib
from typing import Any

from scaledis.errors import UserError
from scaledis.version import VERSION as __version__

DOORS = {
    "load_dataset": "scaledis.datasets.load",  # a data set by name
    "make_config": "scaledis.experiment.make_config",  # a checked config of a method
    "train": "scaledis.training.train",  # one run or several -> models
    "load_run": "scaledis.results.load_run",  # a trained run, read only
    "load_results": "scaledis.results.load_results",  # all runs as one table
    "score": "scaledis.evaluate.score",  # codes against factors
    "compare": "scaledis.comparison.compare",  # settings over their seeds
    "register_method": "scaledis.methods.register_method",  # a method of your own
    # The types that they take and give.
    "Codes": "scaledis.types.Codes",
    "Config": "scaledis.config.Config",
    "Dataset": "scaledis.datasets.Dataset",
    "Hyperparameter": "scaledis.methods.Hyperparameter",
    "ImageSpec": "scaledis.types.ImageSpec",
    "Method": "scaledis.types.Method",
    "Model": "scaledis.population.Model",
}

__all__ = [*DOORS, "UserError", "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in DOORS:
        raise AttributeError(f"module 'scaledis' has no attribute {name!r}")
    module, _, attribute = DOORS[name].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
