"""What a run is made of: the schema with its defaults, and every check that is made before anything compiles."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from scaledis import (
    datasets,
    density_ratio,
    estimators,
    feed,
    methods,
    metrics,
    objective,
    optimiser,
    registry,
    sampling,
)
from scaledis.errors import UserError
from scaledis.fields import among, checked, real, whole
from scaledis.metrics import dci
from scaledis.networks import ladder

LADDER = (4, 2, 2, 2)  # the main allocation of Beyond Flat Latent
FLAT = 10  # units of a flat method


@dataclasses.dataclass(frozen=True)
class Data:
    name: str = among("rendered", datasets.names())
    directory: str = "~/.cache/scaledis"  # prepared data sets and caches
    path: str = ""  # of the user's own images: data.name=folder or arrays
    correlation: tuple = ()  # of pairs of factors while training: (("floor_hue", "wall_hue", 0.2),)
    held_out: float = 0.0  # share of the images that no run trains on; 0: the data set's own split, or none
    resolution: int = whole(0, least=0)  # pixels a side, box-filtered; 0: the data set's own
    memory: str = among("auto", feed.MEMORIES)  # "host": images gathered beside the step; "auto": if they do not fit


@dataclasses.dataclass(frozen=True)
class Method:
    name: str = "scale_vlae"
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the method: --describe=<method>


@dataclasses.dataclass(frozen=True)
class Model:
    allocation: tuple[int, ...] = ()  # latent units per level, top to bottom; (): the method's own
    latents: int = 0  # units in all; 0: 10 for a flat method, what the allocation sums to for a ladder
    parameters: int = whole(0, least=0)  # its width follows from them; 0: the papers' 766,295 (flat), 1.2M (ladder)
    channels: tuple[int, ...] = (32, 32, 64, 64)  # of the four convolutions, from the image up
    ladder_channels: tuple[int, ...] = (8, 16, 16)  # of the maps that join levels to the first three of them
    injection: str = among("vector", ladder.INJECTIONS)  # how a level enters the decoder


@dataclasses.dataclass(frozen=True)
class Objective:
    likelihood: str = among("gaussian", objective.LIKELIHOODS)
    sigma: float = real(0.5)  # of the Gaussian likelihood, in units of the pixel range; where gaussian_learned starts
    estimator: str = among("minibatch_weighted", estimators.ESTIMATORS)  # of the aggregate posterior
    bank: int = whole(4096)  # posteriors that the estimator memory_bank remembers
    kl_warmup: float = real(1500.0, zero=True)  # steps; KL and penalties weigh 1 - exp(-step / kl_warmup); 0: all


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Factors in [0, 1] over the steps (optimiser.schedule): "cosine", "warmup:5000", "linear"."""

    learning_rate: str = "constant"
    beta: str = "constant"
    gamma: str = "constant"
    capacity: str = "warmup:100000"


@dataclasses.dataclass(frozen=True)
class Discriminator:
    """Of the methods and estimators that have one; of images, only the learning rate."""

    features: int = whole(1000)
    layers: int = whole(6)
    learning_rate: float = real(1e-4)


@dataclasses.dataclass(frozen=True)
class Train:
    steps: int = whole(300_000)
    batch: int = whole(64, least=2)
    learning_rate: float = real(2e-3)
    gradient_clip: float = real(100.0, zero=True)  # global norm, nats per image; 0: none
    log_every: int = whole(100)
    checkpoint_every: int = whole(5000)
    keep: int = whole(3)  # checkpoints
    parallel: int = whole(0, least=0)  # runs trained at once; 0: one per core on a CPU, all on an accelerator


@dataclasses.dataclass(frozen=True)
class Evaluate:
    metrics: tuple[str, ...] = among(("dci", "mig"), metrics.names())
    train_codes: int = whole(10_000, least=2)
    test_codes: int = whole(5_000)
    split: str = among("all", sampling.SPLITS)  # of the images
    dci_backend: str = among("lightgbm", dci.BACKENDS)
    seed: int = whole(0, least=0)


@dataclasses.dataclass(frozen=True)
class Config:
    """A run. Every field is a key of the command line: `--config.train.steps=4000`."""

    data: Data = Data()
    method: Method = Method()
    model: Model = Model()
    objective: Objective = Objective()
    schedule: Schedule = Schedule()
    discriminator: Discriminator = Discriminator()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    seed: int = whole(0, least=0)


def default() -> ml_collections.ConfigDict:
    """Every key with its default, to be edited by a file in configs/ and by the command line.

    `config.method` has the hyperparameters of all methods; None stands for the method's own default.
    """
    config = ml_collections.ConfigDict(dataclasses.asdict(Config()))
    del config.method.hyperparameters
    for recipe in methods.recipes().values():
        for name in recipe.hyperparameters:
            config.method[name] = config_dict.placeholder(object)
    return config


def freeze(config: Mapping[str, Any]) -> Config:
    """Mapping (plain or ml_collections) -> Config. Raises UserError, naming key, value and choices."""
    method = dict(config["method"])
    name = method.pop("name")
    recipe = registry.choose("method.name", name, methods.recipes())
    given = {
        key: tuple(value) if isinstance(value, list) else value for key, value in method.items() if value is not None
    }
    for key in given:
        registry.check(f"method ({name})", key, recipe.hyperparameters)
    defaults = {key: hyperparameter.default for key, hyperparameter in recipe.hyperparameters.items()}
    sections = {"method": Method(name, {**defaults, **given})}
    for field in dataclasses.fields(Config):
        if dataclasses.is_dataclass(field.type) and field.name not in sections:
            sections[field.name] = _section(field.name, field.type, config[field.name])
    sections["model"] = _allocated(sections["model"], name, recipe.flat)
    frozen = checked("", Config(**sections, seed=config["seed"]))
    _check(frozen)
    recipe.checked_arrays(frozen)  # the method's own checks
    for key, spec in dataclasses.asdict(frozen.schedule).items():
        if spec != getattr(Schedule, key) and key not in {*recipe.hyperparameters, "learning_rate"}:
            raise UserError(f"schedule.{key}: {spec!r} has nothing to drive; {name} has no {key}.")
    return frozen


def _allocated(model: Model, method: str, flat: bool) -> Model:
    """The model with its allocation filled in: one level for a flat method, a ladder's for the others."""
    if not flat:
        return dataclasses.replace(model, allocation=model.allocation or LADDER)
    own = (model.latents or FLAT,)
    if len(model.allocation) > 1:
        raise UserError(
            f"model.allocation: {model.allocation} is for a ladder, and {method} is flat; set model.latents instead."
        )
    return dataclasses.replace(model, allocation=model.allocation or own)


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
        registry.check(f"config.{name}", key, types)
        if tuple in (types[key], typing.get_origin(types[key])):
            value = _tuple(value if isinstance(value, list | tuple) else (value,))
        typed[key] = value
    return checked(f"{name}.", schema(**typed))


def _tuple(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(map(_tuple, value)) if isinstance(value, list | tuple) else value


def _check(config: Config) -> None:
    model, train = config.model, config.train
    allocation = model.allocation
    if not 1 <= len(allocation) <= ladder.DEPTH or not all(isinstance(u, int) and u >= 1 for u in allocation):
        raise UserError(f"model.allocation: {allocation} must have 1 to {ladder.DEPTH} levels of 1 unit or more each.")
    if model.latents and sum(allocation) != model.latents:
        raise UserError(
            f"model.allocation: {allocation} has {sum(allocation)} units, but model.latents is {model.latents}."
        )
    for key, count in {"channels": ladder.DEPTH, "ladder_channels": ladder.DEPTH - 1}.items():
        given = getattr(model, key)
        if len(given) != count or not all(isinstance(number, int) and number >= 1 for number in given):
            raise UserError(f"model.{key}: {given} must be {count} positive whole numbers.")
    sampling.check(config.data)
    if config.objective.estimator == "density_ratio":
        density_ratio.check_batch(train.batch)
    for key, spec in dataclasses.asdict(config.schedule).items():
        optimiser.schedule(f"schedule.{key}", spec, train.steps)
