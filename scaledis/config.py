"""What a run is made of: the schema with its defaults. Each field's own bound stands beside it.

This module imports nothing else of the package but errors, names and values; `experiment` checks a config against the
registries.
"""

import dataclasses
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from scaledis.core import registry
from scaledis.core.errors import UserError
from scaledis.core.values import PLAIN, over, plain, whole

LARGEST = 2**31 - 1  # an int32: steps, seeds and sizes are carried as such
RESOLUTION = 18_912  # of images of which a batch of two holds 2**31 numbers, which are most that can be allocated


def positive_int(default: int, least: int = 1, most: int = LARGEST) -> int:
    """A field that holds a whole number from `least` to `most`."""

    def check(key: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise UserError(f"{key}: {registry.short(value)} must be a whole number from {least} to {most}.")

    return dataclasses.field(default=default, metadata={"check": check})


def positive_float(default: Any, zero: bool = False) -> Any:
    """A field that holds a number that a float32 can hold, above 0 or, with `zero`, at least 0; None if it may be."""

    def check(key: str, value: Any) -> None:
        if value is None and default is None:
            return
        if not is_float32(value) or not (value > 0 or (zero and value == 0)):
            bound = "of at least 0" if zero else "above 0"
            raise UserError(f"{key}: {registry.short(value)} must be a finite number {bound} that a float32 can hold.")

    return dataclasses.field(default=default, metadata={"check": check})


def one_of(default: Any, choices: Collection[str]) -> Any:
    """A field that holds one of the names."""

    def check(key: str, value: Any) -> None:
        registry.check(key, value, choices)

    return dataclasses.field(default=default, metadata={"check": check})


def text(default: str) -> str:
    """A field that holds a string."""

    def check(key: str, value: Any) -> None:
        if not isinstance(value, str) or value != value.encode(errors="replace").decode():
            raise UserError(f"{key}: {registry.short(value)} must be text that UTF-8 can hold.")

    return dataclasses.field(default=default, metadata={"check": check})


def flag(default: bool) -> bool:
    """A field that holds True or False."""

    def check(key: str, value: Any) -> None:
        if not isinstance(value, bool):
            raise UserError(f"{key}: {registry.short(value)} must be True or False.")

    return dataclasses.field(default=default, metadata={"check": check})


def is_float32(value: Any) -> bool:
    """Whether `value` is a number, not a bool, that is finite as a float32, and 0 there only if it is 0 itself."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        magnitude = abs(float(value))
    except OverflowError:
        return False
    return magnitude == 0 or 1.2e-38 < magnitude < 3.4e38


def check_fields(prefix: str, section: Any) -> None:
    """Raises UserError, with the key behind `prefix`, for the first field that does not pass its check."""
    for field in dataclasses.fields(section):
        if "check" in field.metadata:
            field.metadata["check"](prefix + field.name, getattr(section, field.name))


MEMORIES = ("auto", "device", "host")  # where a data set's images lie while training
SPLITS = ("all", "train", "held_out")
INJECTIONS = ("map", "vector")
PRECISIONS = ("float32", "tf32", "bfloat16")
ACTIVATIONS = ("float32", "bfloat16")
DCI_BACKENDS = ("lightgbm", "sklearn")


@dataclasses.dataclass(frozen=True)
class Data:
    name: str = text("rendered")
    directory: str = text("~/.cache/scaledis")  # prepared data sets and caches
    path: str = text("")  # the user's own images: data.name=folder or arrays
    resolution: int = positive_int(0, least=0, most=RESOLUTION)  # pixels a side; 0: the data set's own
    correlation: tuple[tuple[str, str, float], ...] = ()  # of factors in training: (("floor_hue", "wall_hue", 0.2),)
    held_out: float = positive_float(0.0, zero=True)  # share of images that no run trains on; 0: the data set's split
    held_out_by: str = text("")  # hold out whole groups: "folder", or the images of a value of a factor; "": images
    scale: bool = flag(False)  # the user's own pixels are 0 to 1: multiply them by 255
    bits: int = positive_int(0, least=0, most=16)  # of the user's own pixels, such as 12 of a camera's; 0: the file's
    folder_factor: bool = flag(False)  # the sub-folders of a folder of images are a factor
    skip_unreadable: bool = flag(False)  # leave out files of a folder that are no readable images
    accept_checksum: bool = flag(False)  # take a published file whose checksum is another one than expected
    memory: str = one_of("auto", MEMORIES)  # "host": images are gathered beside the step; "auto": if they do not fit


@dataclasses.dataclass(frozen=True)
class Method:
    name: str = text("scale_vlae")
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # see scaledis describe <method>

    def __hash__(self) -> int:
        return hash((self.name, *sorted(self.hyperparameters.items())))


@dataclasses.dataclass(frozen=True)
class Model:
    allocation: tuple[int, ...] = ()  # latent units per level, top to bottom; (): the method's own
    latents: int = positive_int(0, least=0)  # units in all; 0: 10 for a flat method, the allocation's sum for a ladder
    parameters: int = positive_int(0, least=0)  # they set the width; 0: the papers' 766,295 (flat), 1.2M (ladder)
    channels: tuple[int, ...] = (32, 32, 64, 64)  # of the four convolutions, from the image up
    ladder_channels: tuple[int, ...] = (8, 16, 16)  # of the maps that join levels to the first three of them
    injection: str = one_of("vector", INJECTIONS)  # how a level enters the decoder
    network: str = text("")  # the encoder and decoder, see scaledis list; "": the method's own


@dataclasses.dataclass(frozen=True)
class Objective:
    likelihood: str = text("gaussian")
    sigma: float = positive_float(0.5)  # the Gaussian's, in units of the pixel range; gaussian_learned starts there
    estimator: str = text("minibatch_weighted")  # of the aggregate posterior
    bank: int = positive_int(4096)  # posteriors that the estimator memory_bank remembers
    kl_warmup: float | None = positive_float(None, zero=True)  # steps; w = 1 - exp(-step / kl_warmup), and 1 for 0;
    # None: the method's own, 0 for a flat method and 1500 for a ladder


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Factors in [0, 1] over the steps (optimizer.make_schedule): "cosine", "warmup:5000", "linear"."""

    learning_rate: str = text("constant")
    beta: str = text("constant")
    gamma: str = text("constant")
    precision: str = text("constant")  # 1 / sigma^2 of a Gaussian: "warmup:2000:0.25" lets sigma fall to its half
    capacity: str = text("warmup:100000")


@dataclasses.dataclass(frozen=True)
class Discriminator:
    """Of the methods and estimators that have one; a discriminator of images takes only the learning rate."""

    features: int = positive_int(1000)
    layers: int = positive_int(6, most=64)
    learning_rate: float = positive_float(1e-4)


@dataclasses.dataclass(frozen=True)
class Train:
    steps: int = positive_int(300_000)
    batch: int = positive_int(64, least=2)
    learning_rate: float = positive_float(2e-3)
    gradient_clip: float = positive_float(100.0, zero=True)  # global norm; 100 nats normalize every gradient; 0: none
    matmul_precision: str = one_of("float32", PRECISIONS)  # of a network's products on a GPU or a TPU
    activations: str = one_of("float32", ACTIVATIONS)  # what layers compute and hold; parameters stay float32
    log_every: int = positive_int(100)
    checkpoint_every: int = positive_int(5000)
    evaluate_every: int = positive_int(0, least=0)  # steps between scores (no chance levels) and sheets; 0: at the end
    keep: int = positive_int(3)  # checkpoints
    parallel: int = positive_int(0, least=0)  # runs trained at once; 0: one per core on a CPU, all on an accelerator


@dataclasses.dataclass(frozen=True)
class Evaluate:
    metrics: tuple[str, ...] = ("dci", "mig")
    train_codes: int = positive_int(10_000, least=2)
    test_codes: int = positive_int(5_000)
    split: str = one_of("all", SPLITS)  # of the images
    dci_backend: str = one_of("lightgbm", DCI_BACKENDS)
    seed: int = positive_int(0, least=0)
    chance: int = positive_int(
        20, least=0, most=10_000
    )  # permutations behind chance levels; a quarter where models are fitted


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
    seed: int = positive_int(0, least=0)


def thaw(config: Config) -> dict[str, Any]:
    """Config -> plain nested dict, as it is written to JSON; `configs.freeze` takes it back."""
    nested = {
        key: dict(vars(value)) if dataclasses.is_dataclass(value) else value for key, value in vars(config).items()
    }
    nested["method"] = {"name": config.method.name, **config.method.hyperparameters}
    return nested


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dict -> {dotted key: value}, lists as tuples all the way down."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, PLAIN):  # most are, and a sweep has many runs
            flat[prefix + key] = value
        elif isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = plain(value)
    return flat


def differing(configs: Iterable[Config]) -> dict[str, list[Any]]:
    """The dotted keys in which configs differ -> the value of each config, None where a config lacks the key."""
    rows = [flatten(thaw(config)) for config in configs]
    columns = {key: [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}
    return {key: values for key, values in columns.items() if len(set(values)) > 1}


def typed(key: str, value: Any) -> Any:
    """`value` in plain Python, as the dotted `key` takes it: a whole float such as 3e5 becomes an int for a count."""
    value = plain(value)
    return over(whole, value) if key in WHOLE else value


def no_check(config: Config) -> None:
    """The `check` of a method, network or estimator that runs with every config."""
    del config


SECTIONS = {"": Config, **{f"{field.name}.": type(field.default) for field in dataclasses.fields(Config)}}
WHOLE = {  # dotted keys of whole numbers, one or several
    prefix + name
    for prefix, section in SECTIONS.items()
    for name, kind in typing.get_type_hints(section).items()
    if kind in (int, tuple[int, ...])
}
