"""What a run is made of: the schema with its defaults, and every check that is made before anything compiles."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from scaledis import aggregate, choices, datasets, methods, metrics, objective
from scaledis.metrics import dci
from scaledis.networks import ladder
from scaledis.optimiser import SCHEDULES


@dataclasses.dataclass(frozen=True)
class Data:
    name: str = "rendered"
    directory: str = "~/.cache/scaledis"  # prepared data sets and caches


@dataclasses.dataclass(frozen=True)
class Method:
    name: str = "scale_vlae"
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the method; see --describe


@dataclasses.dataclass(frozen=True)
class Model:
    allocation: tuple[int, ...] = (4, 2, 2, 2)  # latent units per level, top to bottom
    latents: int = 0  # what the allocation must sum to; 0: anything
    parameters: int = 1_200_000  # the width of the ladder follows from it
    channels: tuple[int, ...] = (32, 32, 64, 64)  # of the four convolutions, from the image up
    injection: str = "vector"  # how a level enters the decoder: "vector" or "map"


@dataclasses.dataclass(frozen=True)
class Objective:
    likelihood: str = "gaussian"
    sigma: float = 0.5  # of the Gaussian likelihood, in units of the pixel range
    estimator: str = "minibatch_weighted"  # of the aggregate posterior
    kl_warmup: float = 1500.0  # steps; the KL and its penalties weigh 1 - exp(-step / kl_warmup); 0: full weight


@dataclasses.dataclass(frozen=True)
class Train:
    steps: int = 300_000
    batch: int = 64
    learning_rate: float = 2e-3
    schedule: str = "constant"
    gradient_clip: float = 100.0  # global norm, nats per image; 0: none
    log_every: int = 100
    checkpoint_every: int = 5000
    keep: int = 3  # checkpoints
    parallel: int = 0  # runs trained at once; 0: one per core on a CPU, all on an accelerator


@dataclasses.dataclass(frozen=True)
class Evaluate:
    metrics: tuple[str, ...] = ("dci", "mig")
    train_codes: int = 10_000
    test_codes: int = 5_000
    dci_backend: str = "lightgbm"
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Config:
    """A run. Every field is a key of the command line: `--config.train.steps=4000`."""

    data: Data = Data()
    method: Method = Method()
    model: Model = Model()
    objective: Objective = Objective()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    seed: int = 0


def default() -> ml_collections.ConfigDict:
    """Every key with its default, to be edited by a file in configs/ and by the command line.

    `config.method` has the hyperparameters of all methods; None stands for the method's own default.
    """
    config = ml_collections.ConfigDict(dataclasses.asdict(Config()))
    del config.method.hyperparameters
    for recipe in methods.recipes().values():
        for name in recipe.defaults:
            config.method[name] = config_dict.placeholder(object)
    return config


def freeze(config: Mapping[str, Any]) -> Config:
    """Mapping (plain or ml_collections) -> Config. Raises ValueError, naming key, value and choices."""
    method = dict(config["method"])
    name = method.pop("name")
    recipe = choices.choose("method.name", name, methods.recipes())
    given = {
        key: tuple(value) if isinstance(value, list) else value for key, value in method.items() if value is not None
    }
    for key in given:
        if key not in recipe.defaults:
            raise choices.unknown(f"method ({name})", key, recipe.defaults)
    sections = {"method": Method(name, {**recipe.defaults, **given})}
    for field in dataclasses.fields(Config):
        if dataclasses.is_dataclass(field.type) and field.name not in sections:
            sections[field.name] = _section(field.name, field.type, config[field.name])
    frozen = Config(**sections, seed=config["seed"])
    _check(frozen)
    recipe.arrays(frozen)  # the method's own checks
    return frozen


def thaw(config: Config) -> dict[str, Any]:
    """Config -> plain nested dict, as it is written to JSON; `freeze` takes it back."""
    plain = dataclasses.asdict(config)
    plain["method"] = {"name": config.method.name, **config.method.hyperparameters}
    return plain


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dict -> {dotted key: value}, lists as tuples."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = tuple(value) if isinstance(value, list) else value
    return flat


def _section(name: str, schema: type, values: Mapping[str, Any]) -> Any:
    types = typing.get_type_hints(schema)
    typed = {}
    for key, value in dict(values).items():
        if key not in types:
            raise choices.unknown(f"config.{name}", key, types)
        if typing.get_origin(types[key]) is tuple:
            value = tuple(value) if isinstance(value, list | tuple) else (value,)
        typed[key] = value
    return schema(**typed)


def _check(config: Config) -> None:
    model, train = config.model, config.train
    allocation = model.allocation
    if not 1 <= len(allocation) <= ladder.DEPTH or not all(isinstance(u, int) and u >= 1 for u in allocation):
        raise ValueError(f"model.allocation: {allocation} must have 1 to {ladder.DEPTH} levels of 1 unit or more each.")
    if model.latents and sum(allocation) != model.latents:
        raise ValueError(
            f"model.allocation: {allocation} has {sum(allocation)} units, but model.latents is {model.latents}."
        )
    if len(model.channels) != ladder.DEPTH or min(model.channels) < 1:
        raise ValueError(f"model.channels: {model.channels} must be {ladder.DEPTH} positive numbers.")
    for key, value, known in [
        ("data.name", config.data.name, datasets.names()),
        ("model.injection", model.injection, ladder.INJECTIONS),
        ("objective.likelihood", config.objective.likelihood, objective.LIKELIHOODS),
        ("objective.estimator", config.objective.estimator, aggregate.ESTIMATORS),
        ("train.schedule", train.schedule, SCHEDULES),
        ("evaluate.dci_backend", config.evaluate.dci_backend, dci.BACKENDS),
        *(("evaluate.metrics", metric, metrics.names()) for metric in config.evaluate.metrics),
    ]:
        if value not in known:
            raise choices.unknown(key, value, known)
    flat = flatten(thaw(config))
    for key, least in {
        "train.steps": 1,
        "train.batch": 2,
        "train.log_every": 1,
        "train.checkpoint_every": 1,
        "train.keep": 1,
        "train.parallel": 0,
        "evaluate.train_codes": 2,
        "evaluate.test_codes": 1,
        "model.parameters": 1,
        "evaluate.seed": 0,
        "seed": 0,
    }.items():
        if not isinstance(flat[key], int) or flat[key] < least:
            raise ValueError(f"{key}: {flat[key]!r} must be a whole number of at least {least}.")
    for key, lowest in {"train.learning_rate": 0, "objective.sigma": 0}.items():
        if not lowest < flat[key] < math.inf:
            raise ValueError(f"{key}: {flat[key]!r} must be a finite number above {lowest}.")
    for key in ("objective.kl_warmup", "train.gradient_clip"):
        if not 0 <= flat[key] < math.inf:
            raise ValueError(f"{key}: {flat[key]!r} must be a finite number of at least 0.")
