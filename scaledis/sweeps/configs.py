"""Configs: every key with its default, and all checks that are made before anything compiles."""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaledis import datasets, methods, metrics
from scaledis.config import MOST_UNITS, SECTIONS, Config, Data, Method, Model, Schedule, flatten, thaw, typed
from scaledis.core import UserError, command, kinds, registry
from scaledis.core.fields import check_fields
from scaledis.core.values import plain
from scaledis.datasets.base import sampling
from scaledis.methods import estimators
from scaledis.methods.base import optimizer
from scaledis.metrics import of_models
from scaledis.objectives.likelihood import LIKELIHOODS
from scaledis.sweeps import best, starts

if TYPE_CHECKING:
    from ml_collections import ConfigDict

LADDER = (4, 2, 2, 2)  # the main allocation of Beyond Flat Latent
FLAT = 10  # units of a flat method
FIELDS = {field.name: field.type for field in dataclasses.fields(Config)}
UNSCHEDULED = Schedule()
ALL_KEYS = "`scaledis describe config` prints all keys."
MOST_SECTIONS = 1024  # that are remembered
MOST_FLOATS = 2**31  # numbers that a batch of images, a bank or the layers of a discriminator may hold


def defaults() -> dict[str, Any]:
    """Returns every key with its default, section by section.

    The section `method` has the hyperparameters of all methods; None stands for the method's own default.
    """
    config = dataclasses.asdict(Config())
    hyperparameters = {name: None for spec in methods.specs().values() for name in spec.hyperparameters}
    return config | {"method": {"name": config["method"]["name"], **hyperparameters}}


def default() -> "ConfigDict":
    """Returns `defaults` as a ConfigDict, to be edited by a file in configs/ and by the command line."""
    from ml_collections import ConfigDict, config_dict

    config = ConfigDict(defaults(), type_safe=False)  # `freeze` checks the types
    for key, value in flatten(defaults()).items():
        if value is None:
            config.update_from_flattened_dict({key: config_dict.placeholder(object)})
    return config


@kinds.checked
def make_config(method: str = "scale_vlae", overrides: Mapping[str, object] | None = None) -> Config:
    """Returns a checked config of a method, as `scaledis train METHOD` trains it.

    The defaults are replaced by the settings that the method's file has for the data set (`scaledis describe METHOD`),
    and these by `overrides`, by dotted key. Without `data.name` the data set is `rendered`.

    Raises UserError for an unknown method or key, and for a value that cannot run.

    >>> make_config("vlae", {"train.steps": 4000, "model.allocation": (3, 3, 4)}).train.steps
    4000
    """
    given = overrides or {}
    settings = methods.choose(method, "method").settings_for(str(given.get("data.name", Data().name)))
    return freeze(override(defaults(), {**settings, "method.name": method, **given}))


def override(base: Mapping[str, object], overrides: Mapping[str, object], kind: str = "key") -> dict[str, Any]:
    """Returns the nested dict `base` with some dotted keys replaced. Raises UserError for a key that it lacks."""
    config = {key: dict(value) if isinstance(value, Mapping) else value for key, value in base.items()}
    for key, value in overrides.items():
        section, dot, last = str(key).rpartition(".")
        among = config.get(section) if dot else config
        if not isinstance(among, dict) or last not in among or f"{key}." in SECTIONS:
            first = str(key).partition(".")[0]
            own = config.get(first)
            known = (f"Keys of {first}", own) if isinstance(own, dict) else ("Sections", config)
            remedy = f"{known[0]}: {registry.listed(sorted(known[1]))}. {ALL_KEYS}"
            raise registry.unknown(kind, key, flatten(config), remedy)
        among[last] = value
    return config


def freeze(config: Mapping[str, object], stored: bool = False) -> Config:
    """Returns the Config of a mapping, plain or of ml_collections. Raises UserError, naming key, value and choices.

    The method does not check a `stored` config, which may have trained before the check existed.
    """
    if not is_section(config):
        raise UserError(f"config: {type(config).__name__} is not a config; get_config must return default(), edited.")
    for key in config:
        registry.check("config", key, FIELDS)
    sections: dict[str, Any] = {"method": None}
    for name, schema in FIELDS.items():
        if isinstance(schema, type) and dataclasses.is_dataclass(schema) and name != "method":
            sections[name] = _section(name, schema, config.get(name, {}))
    given = config.get("method", {})
    if not is_section(given) or "name" not in given:
        raise UserError("config.method: the section is missing or has no name.")
    sections["method"] = _method(dict(given))
    spec = methods.choose(sections["method"].name)
    sections["model"] = _allocate(sections["model"], sections["method"].name, spec.flat)
    if sections["objective"].kl_warmup is None:
        sections["objective"] = dataclasses.replace(sections["objective"], kl_warmup=spec.kl_warmup)
    frozen = Config(**sections, seed=typed("seed", config.get("seed", 0)))
    check_fields("", frozen)
    _check(frozen)
    methods.arrays(frozen)
    if not stored:
        _check_method(frozen)
    return frozen


def _check_method(config: Config) -> None:
    """Raises UserError for a value that the method cannot run with, and for a schedule that it does not use."""
    spec, schedules = methods.choose(config.method.name), vars(config.schedule)
    spec.check(config)
    methods.check_estimator(config)
    for key, given in schedules.items():
        if given != getattr(UNSCHEDULED, key) and key not in {*spec.hyperparameters, "learning_rate", "precision"}:
            found = f"{registry.short(given)} has nothing to drive"
            raise UserError(f"schedule.{key}: {found}; {config.method.name} has no {key}.")
    if config.schedule.precision != "constant" and config.objective.likelihood != "gaussian":
        raise UserError(
            f"schedule.precision: {registry.short(config.schedule.precision)} has nothing to drive; only the "
            f"likelihood gaussian has a fixed sigma, and objective.likelihood is {config.objective.likelihood}."
        )


def refreeze(config: Config) -> Config:
    """Returns the config, checked as by `make_config`, since dataclasses.replace checks nothing. Raises UserError."""
    kinds.check_fields("config.", config)
    kinds.check_fields("config.method.", config.method)
    return freeze(thaw(config))


def length_dependent(config: Config) -> list[str]:
    """Returns the keys whose meaning depends on `train.steps`: schedules, rungs, and a method's shares of the steps."""
    keys = [f"schedule.{key}" for key, spec in vars(config.schedule).items() if spec != "constant" and ":" not in spec]
    shares = methods.choose(config.method.name).shares
    rungs = ["train.rungs"] if config.train.rungs else []
    return keys + rungs + [f"method.{name}" for name in shares if not config.method.hyperparameters[name]]


def _method(given: dict[str, object]) -> Method:
    name = plain(given.pop("name"))
    spec = methods.choose(name)
    own = {key: typed(f"method.{key}", value) for key, value in given.items() if value is not None}
    for key in own:
        registry.check(f"method ({name})", key, spec.hyperparameters)
    defaults = {key: hyperparameter.default for key, hyperparameter in spec.hyperparameters.items()}
    return Method(name, {**defaults, **own})


def _allocate(model: Model, method: str, flat: bool) -> Model:
    """Returns the model with its allocation: one level for a flat method, several for a ladder."""
    if not flat:
        return dataclasses.replace(model, allocation=model.allocation or LADDER)
    own = (model.latents or FLAT,)
    if model.latents > MOST_UNITS:
        raise UserError(f"model.latents: {model.latents} is too large; a level has at most {MOST_UNITS} units.")
    if len(model.allocation) > 1:
        given = registry.short(model.allocation)
        raise UserError(f"model.allocation: {given} is for a ladder, and {method} is flat; set model.latents instead.")
    return dataclasses.replace(model, allocation=model.allocation or own)


def is_section(value: object) -> typing.TypeGuard[Mapping[str, object]]:
    """Returns whether a value is a mapping or a ConfigDict, whose library may be missing."""
    return isinstance(value, Mapping) or type(value).__module__.startswith("ml_collections.")


def _section(name: str, schema: type, values: object) -> object:
    if not is_section(values):
        raise UserError(f"config.{name}: {registry.short(values)} must be a section with keys.")
    values = {key: typed(f"{name}.{key}", value) for key, value in dict(values).items()}
    try:
        given = name, repr(values)
    except ValueError:  # an integer of thousands of digits, which its check refuses
        return _checked_section(name, schema, values)
    if given not in _sections:
        if len(_sections) == MOST_SECTIONS:
            _sections.clear()
        _sections[given] = _checked_section(name, schema, values)
    return _sections[given]


def _checked_section(name: str, schema: type, values: Mapping[str, object]) -> object:
    types = _types(schema)
    given = {}
    for key, value in values.items():
        registry.check(f"config.{name}", key, types)
        if tuple in (types[key], typing.get_origin(types[key])):
            parts = value if isinstance(value, tuple) and not _is_one(value, types[key]) else (value,)
            value = tuple(each for part in parts for each in (command.names(part) if isinstance(part, str) else [part]))
        given[key] = value
    section = schema(**given)
    check_fields(f"{name}.", section)
    return section


def _is_one(value: tuple[object, ...], kind: type) -> bool:
    """Returns whether a tuple is one part of a list of tuples, such as one rung, in place of a list with it alone."""
    return bool(value) and typing.get_origin(typing.get_args(kind)[0]) is tuple and tuple not in map(type, value)


_sections: dict[tuple[str, str], object] = {}  # checked; the runs of a sweep share those in which they agree
_types = functools.cache(typing.get_type_hints)  # of a section's schema


def _check(config: Config) -> None:
    registry.check("data.name", config.data.name, datasets.names())
    registry.check("objective.likelihood", config.objective.likelihood, LIKELIHOODS)
    for name in config.evaluate.metrics:
        registry.check("evaluate.metrics", name, {*metrics.names(), *of_models.names()})
    for kind in config.evaluate.kinds:
        if not isinstance(kind, str) or not kind.partition("=")[2]:
            raise UserError(
                f"evaluate.kinds: {registry.short(kind)} must be a factor and its kind, as in hue=angle:360."
            )
    allocation, latents = config.model.allocation, config.model.latents
    if latents and sum(allocation) != latents:
        raise UserError(f"model.allocation: {allocation} has {sum(allocation)} units, but model.latents is {latents}.")
    methods.check_network(config)
    sampling.check(config.data)
    starts.check(config.train)
    best.check(config)
    estimators.choose(config.objective.estimator).check(config)
    for key, spec in vars(config.schedule).items():
        optimizer.make_schedule(f"schedule.{key}", spec, config.train.steps)
    units = sum(allocation)
    side = config.data.resolution or 64
    for key, value, each in [
        ("train.batch", config.train.batch, max(3 * side**2, units)),
        ("objective.bank", config.objective.bank, units),
        ("discriminator.features", config.discriminator.features, config.discriminator.features),
        ("discriminator.layers", config.discriminator.layers, config.discriminator.features**2),
        ("train.parallel", config.train.parallel, 10_000),
    ]:
        if value * each > MOST_FLOATS:
            raise UserError(f"{key}: {value} is too large to be allocated; at most {MOST_FLOATS // each} fit.")
