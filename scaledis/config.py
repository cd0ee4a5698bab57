"""The schema of a config. Each field has its default, its meaning and its bounds.

This module imports nothing else of the package but `core`; `sweeps.configs` checks a config against the registries.
"""

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from scaledis.core.fields import checked, flag, free, one_of, positive_float, positive_int, text, whole_numbers
from scaledis.core.values import PLAIN, literal, over, plain, whole

RESOLUTION = 18_912  # pixels a side; a batch of two such images holds 2**31 numbers, the most that can be allocated
MOST_UNITS, MOST_CHANNELS = 4096, 8192  # of a level, of a convolution: beyond them a network cannot be allocated
MEMORIES = ("auto", "device", "host")
SPLITS = ("all", "train", "held_out")
INJECTIONS = ("map", "vector")
PRECISIONS = ("float32", "tf32", "bfloat16")
ACTIVATIONS = ("float32", "bfloat16")
Combination = tuple[tuple[str, tuple[str | float | bool, ...]], ...]  # (factor, its values), all of them at once
DCI_BACKENDS = ("lightgbm", "sklearn")


@dataclasses.dataclass(frozen=True)
class Data:
    name: str = text("rendered", "the data set, see `scaledis list`")
    directory: str = text("~/.cache/scaledis", "where prepared data sets and caches lie")
    path: str = text("", "your own images: a folder for folder and huggingface, a file for arrays (.npz, .npy, .h5)")
    images: str = text("", "where the images are: a key of an HDF5 file, a column of huggingface; empty: the only one")
    labels: str = text("", "where the labels are: a file for folder and .npy, a key of an HDF5 file, columns a,b")
    resolution: int = positive_int(0, "pixels a side, a multiple of 16; 0: the data set's own", 0, RESOLUTION)
    correlation: tuple[tuple[str, str, float], ...] = free(
        (), "pairs of factors that are correlated in training", "a list of (factor, other factor, sigma above 0)"
    )
    held_out: float = positive_float(0.0, "share of images that no run trains on; 0: the data set's split", zero=True)
    held_out_by: str | Combination = checked(
        "",
        "what is held out: `folder`: whole folders; a factor: all images of some of its values; a dictionary such as "
        '{"shape": "cube", "hue": [0, 1]}: all images with these values; empty: single images',
        "`folder`, a factor, or a dictionary of factors with one value or a list of them",
        lambda value: _is_combination(value) or (isinstance(value, str) and not value.startswith("{")),
    )
    scale: bool = flag(False, "your own pixels are 0 to 1: multiply them by 255")
    bits: int = positive_int(0, "bits of your own pixels, such as 12 of a camera's; 0: those of the file", 0, 16)
    folder_factor: bool = flag(False, "the sub-folders of a folder of images are a factor")
    skip_unreadable: bool = flag(False, "leave out files of a folder that cannot be read as images")
    accept_checksum: bool = flag(False, "take a published file although its checksum differs from the known one")
    memory: str = one_of("auto", "where images lie in training: `auto` is `device` if they fit there", MEMORIES)

    def __post_init__(self) -> None:
        by: Any = self.held_out_by
        by = literal(by) if isinstance(by, str) and by.startswith("{") else by
        if hasattr(by, "items"):  # in order, so that equal ones are equal and have a hash
            pairs = ((name, values if isinstance(values, tuple | list) else (values,)) for name, values in by.items())
            object.__setattr__(self, "held_out_by", plain(sorted(pairs, key=lambda pair: str(pair[0]))))


def _is_combination(value: Any) -> bool:
    """Whether a value is a dictionary of factors and their values, as `Data` keeps it."""
    if not isinstance(value, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        return False
    named = all(isinstance(name, str) and isinstance(values, tuple) and values for name, values in value)
    return bool(value) and named and all(type(each) in PLAIN[:-1] for _, values in value for each in values)


@dataclasses.dataclass(frozen=True)
class Method:
    name: str = text("scale_vlae", "what is trained, see `scaledis list`")
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # see scaledis describe <method>

    def __hash__(self) -> int:
        return hash((self.name, *sorted(self.hyperparameters.items())))


@dataclasses.dataclass(frozen=True)
class Model:
    allocation: tuple[int, ...] = whole_numbers(
        (), "latent units per level, top to bottom; empty: 4, 2, 2, 2 for a ladder", MOST_UNITS
    )
    latents: int = positive_int(0, "units in all; 0: 10 for a flat method, the allocation's sum for a ladder", 0)
    parameters: int = positive_int(
        0, "parameters, which set the width; 0: the papers' 766,295 (flat method) or 1.2 million (ladder)", 0
    )
    channels: tuple[int, ...] = whole_numbers(
        (32, 32, 64, 64), "features of the four convolutions, from the image up", MOST_CHANNELS
    )
    ladder_channels: tuple[int, ...] = whole_numbers(
        (8, 16, 16), "features of the maps that join levels to the first three convolutions", MOST_CHANNELS
    )
    injection: str = one_of("vector", "how a level enters the decoder", INJECTIONS)
    network: str = text("", "the encoder and decoder, see `scaledis list`; empty: the method's own")


@dataclasses.dataclass(frozen=True)
class Objective:
    likelihood: str = text("gaussian", "distribution of the pixels: gaussian, gaussian_learned or bernoulli")
    sigma: float = positive_float(
        0.5, "deviation of the Gaussian, where pixels are 0 to 1; gaussian_learned starts there"
    )
    estimator: str = text("minibatch_weighted", "estimator of the aggregate posterior, see `scaledis list`")
    bank: int = positive_int(4096, "posteriors that the estimator memory_bank remembers")
    kl_warmup: float | None = positive_float(
        None,
        "steps of the warm-up w = 1 - exp(-step / kl_warmup), 0: none; None: 0 for a flat method, 1500 for a ladder",
        zero=True,
    )


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Factors in [0, 1] over the steps (optimizer.make_schedule): "cosine", "warmup:5000", "linear"."""

    learning_rate: str = text("constant", "factor of train.learning_rate over the steps, such as `cosine`")
    beta: str = text("constant", "factor of method.beta over the steps, such as `warmup:5000`")
    gamma: str = text("constant", "factor of method.gamma over the steps")
    precision: str = text(
        "constant", "factor of 1 / sigma^2 over the steps: `warmup:2000:0.25` lets sigma fall to its half"
    )
    capacity: str = text("warmup:100000", "factor of method.capacity over the steps")


@dataclasses.dataclass(frozen=True)
class Discriminator:
    """The discriminator of a method or an estimator. A discriminator of images takes only the learning rate."""

    features: int = positive_int(1000, "features of a hidden layer")
    layers: int = positive_int(6, "number of layers", most=64)
    learning_rate: float = positive_float(1e-4, "step size of its Adam")


@dataclasses.dataclass(frozen=True)
class Train:
    steps: int = positive_int(300_000, "steps of training")
    batch: int = positive_int(64, "images of a step", least=2)
    learning_rate: float = positive_float(2e-3, "step size of Adam")
    gradient_clip: float = positive_float(
        100.0, "largest global norm of a gradient; 100 in effect normalizes every gradient; 0: no limit", zero=True
    )
    matmul_precision: str = one_of("float32", "number format of a network's products on a GPU or a TPU", PRECISIONS)
    activations: str = one_of("float32", "number format of layers; parameters stay float32", ACTIVATIONS)
    starts: int = positive_int(1, "how many starts a run has, of which `rungs` choose one", most=100)
    start: int = positive_int(0, "number of this start; a command or a sweep trains all starts of a run", 0)
    rungs: tuple[tuple[float, int, str, str], ...] = free(
        (),
        "when starts are dropped, by which number of the log",
        "a list of (share of the steps, starts that go on, number, max or min), the last of which leaves 1",
    )
    init_from: str = text("", "folder of a saved model whose parameters a run starts from; empty: random ones")
    log_every: int = positive_int(100, "steps between lines of the log")
    checkpoint_every: int = positive_int(5000, "steps between checkpoints")
    evaluate_every: int = positive_int(0, "steps between scores (no chance levels) and sheets; 0: only at the end", 0)
    keep: int = positive_int(3, "how many of the newest checkpoints are kept")
    keep_best: str = text(
        "",
        "keep also the state of each run at its best step, by a number of the log (`elbo_nats`, `loss_nats:min`) or a "
        "score (`dci/disentanglement`, computed every evaluate_every steps); empty: none",
    )
    parallel: int = positive_int(0, "runs trained at once; 0: one per core on a CPU, at most 64 per accelerator", 0)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    metrics: tuple[str, ...] = free(("dci", "mig"), "metrics that are computed", "names, see `scaledis list`")
    train_codes: int = positive_int(10_000, "codes that metrics train on", least=2)
    test_codes: int = positive_int(5_000, "codes that metrics are tested on")
    split: str = one_of("all", "the images that are scored", SPLITS)
    dci_backend: str = one_of("lightgbm", "library of DCI's boosted trees", DCI_BACKENDS)
    kinds: tuple[str, ...] = free((), "kinds of factors whose labels do not show them", "such as hue=angle:360")
    seed: int = positive_int(0, "seed of the draw of images and of the metrics", least=0)
    chance: int = positive_int(
        20, "permutations for chance levels, a quarter of them for metrics that fit models; 0: none", 0, 10_000
    )
    floor: bool = flag(False, "score also noise, the untrained network and the principal components of the pixels")
    ceiling: bool = flag(False, "score also the network trained to tell the factors")


@dataclasses.dataclass(frozen=True)
class Config:
    """The config of a run; each field is a key, `--config.train.steps=4000`. Its repr leaves out the defaults."""

    data: Data = Data()
    method: Method = Method()
    model: Model = Model()
    objective: Objective = Objective()
    schedule: Schedule = Schedule()
    discriminator: Discriminator = Discriminator()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    seed: int = positive_int(0, "seed of the run: of its parameters, batches and noise", least=0)

    def __repr__(self) -> str:
        defaults, own = flatten(thaw(Config())), flatten(thaw(self))
        defaults |= {"method.name": own["method.name"]}
        changed = [f"{key}={value!r}" for key, value in own.items() if key not in defaults or value != defaults[key]]
        return f"Config({', '.join([self.method.name, *changed])})"


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
    """Returns the dotted keys in which configs differ -> the value of each config, None if a config lacks the key."""
    rows = [flatten(thaw(config)) for config in configs]
    columns = {key: [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}
    return {key: values for key, values in columns.items() if len(set(values)) > 1}


def typed(key: str, value: Any) -> Any:
    """Returns `value` in plain Python, as the dotted `key` takes it: for a count, the float 3e5 becomes an int."""
    value = plain(value)
    return over(whole, value) if key in WHOLE else value


def no_check(config: Config) -> None:
    """The `check` of a method, network or estimator that runs with every config."""
    del config


SECTIONS: dict[str, type[Any]] = {
    **{f"{name}.": type(section) for name, section in vars(Config()).items() if dataclasses.is_dataclass(section)},
    "": Config,
}
WHOLE = {  # dotted keys of whole numbers, one or several
    prefix + name
    for prefix, section in SECTIONS.items()
    for name, kind in typing.get_type_hints(section).items()
    if kind in (int, tuple[int, ...])
}
