"""Makes a Model from the state of a run, or from saved arrays; it encodes and decodes in chunks of one shape."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from scaledis import methods
from scaledis.config import Config, thaw
from scaledis.core import UserError, chunks, convert, kinds, portable, runtime, version
from scaledis.model import Model
from scaledis.networks import conv
from scaledis.objectives import likelihood
from scaledis.sweeps.configs import freeze
from scaledis.types import NEVER, Codes, ImageSpec, Method, State
from scaledis.workdir.checkpoint import flat, structure, unflat

Compiled = tuple[Callable[..., Codes], Callable[..., Any]]  # encode and decode of a method
KINDS = {  # of what `Model.about` has
    "config": Mapping[str, Any],
    "step": int,
    "diverged": int | None,
    "image_shape": Sequence[int],
    "train_size": int,
    "allocation": Sequence[int],  # padded, as `parameters` are
    "parameters": int,
    "data": Mapping[str, Any],
    "scores": Mapping[str, Any],
    "version": str,
    "commit": str,
}


class Padding(NamedTuple):
    """The sizes that a run has in its population, each at least its own.

    allocation: units per level.
    parameters: of the widest network, as in `model.parameters`.
    """

    allocation: tuple[int, ...]
    parameters: int


def active(config: Config, allocation: Sequence[int]) -> np.ndarray:
    """Returns a mask, bool [K], of the run's own units among those of the padded `allocation`."""
    own = config.model.allocation
    return np.concatenate([np.arange(size) < units for size, units in zip(allocation, own, strict=True)])


def hyperparameters(config: Config, allocation: Sequence[int]) -> dict[str, np.ndarray]:
    """Returns the arrays that a run carries, those of its method included."""
    carried = {
        "active": active(config, allocation),
        "sigma": config.objective.sigma,
        "kl_warmup": config.objective.kl_warmup,
        "learning_rate": config.train.learning_rate,
    }
    own = methods.arrays(config)
    return own | {name: np.asarray(value, np.float32) for name, value in carried.items()}


def build(config: Config, images: ImageSpec, padding: Padding) -> Method:
    """Returns the method of a run at the sizes of its population."""
    model = dataclasses.replace(config.model, **padding._asdict())
    return methods.build(dataclasses.replace(config, model=model), images)


def compiled(method: Method) -> Compiled:
    """Returns encode and decode of a method, which compile when they are first called."""
    pinned = runtime.pinned()
    return pinned(jax.jit(method.encode)), pinned(jax.jit(method.decode))


def describe(
    config: Config, step: int, diverged: int, images: ImageSpec, padding: Padding, data: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns `Model.about` of a run that was trained on `images`; `data` are their facts (sampling.facts)."""
    return {
        "config": thaw(config),
        "step": step,
        "diverged": None if diverged == NEVER else diverged,
        "image_shape": images.shape,
        "train_size": images.size,
        **padding._asdict(),
        "data": dict(data),
        "scores": {},
        **version.here(),
    }


def unpadded(functions: Compiled, units: np.ndarray, total: int) -> Compiled:
    """Returns (state, images) -> Codes of the `units` of a run, and (state, codes [B, K]) -> expected images."""
    encode_padded, decode_padded = functions
    places = np.full(total, len(units))  # of each padded unit among the run's own; the last is that of a zero
    places[units] = np.arange(len(units))

    def encode(state: Any, images: Array) -> Codes:
        mean, log_variance, levels = encode_padded(state, images)
        return Codes(mean[:, units], log_variance[:, units], levels[units])

    def decode(state: Any, codes: Array) -> Array:
        whole = jnp.pad(codes, ((0, 0), (0, 1)))[:, places]
        return jnp.asarray(decode_padded(state, whole))

    return encode, decode


def make_model(config: Config, state: Any, about: Mapping[str, Any], functions: Compiled) -> Model:
    """Returns the Model of a state that may be padded; `functions` are `compiled` of the method at that padding."""
    shape, allocation = tuple(about["image_shape"]), about["allocation"]
    units = np.flatnonzero(active(config, allocation))
    encode_padded, decode_padded = functions

    def encode(images: Array) -> Codes:
        mean, log_variance, levels = jax.device_get(encode_padded(state, images))
        return Codes(mean[:, units], log_variance[:, units], np.asarray(levels)[units])

    def decode(codes: np.ndarray) -> Array:
        whole = np.zeros((len(codes), sum(allocation)), np.float32)
        whole[:, units] = codes
        return jnp.asarray(decode_padded(state, whole))

    def arrays() -> dict[str, np.ndarray]:
        runtime.check_process("save")
        return {name: np.asarray(leaf) for name, leaf in flat(jax.device_get(_needed(state))).items()}

    def negative_log_likelihood(expected: Any, images: Any) -> np.ndarray:
        name = config.objective.likelihood
        learns = likelihood.LIKELIHOODS[name].learns_sigma
        sigma = np.exp(np.asarray(state.params["log_sigma"])) if learns else config.objective.sigma
        return likelihood.of_expected(name, float(sigma), expected, images)

    pure = unpadded(functions, units, sum(allocation))
    return Model(
        config,
        about["step"],
        state,
        checked_encode(encode, shape),
        checked_decode(decode, len(units)),
        about,
        arrays,
        restored,
        negative_log_likelihood,
        pure,
        lambda: portable_functions(pure, state, shape, len(units)),
    )


def checked_encode(encode: Callable[[Any], Codes], shape: tuple[int, ...]) -> Callable[[Any], Codes]:
    """Returns `encode` for any number of images of any framework, in chunks of one shape (`Model.encode`)."""

    def call(images: Any) -> Codes:
        runtime.check_process("encode")
        images = convert.numbers("images", images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
            expected = "uint8 [B, " + ", ".join(map(str, shape)) + "]"
            raise UserError(f"images: {images.dtype} {list(images.shape)}; this model encodes {expected}.")
        parts = [encode(chunk) for chunk in chunks.chunked(images)]
        mean, log_variance = (chunks.joined([part[place] for part in parts], len(images)) for place in (0, 1))
        return Codes(mean, log_variance, parts[0].levels)

    return call


def checked_decode(decode: Callable[[Any], Any], units: int) -> Callable[[Any], np.ndarray]:
    """Returns `decode` for any number of codes of any framework, in chunks of one shape (`Model.decode`)."""

    def call(codes: Any) -> np.ndarray:
        runtime.check_process("decode")
        codes = convert.numbers("codes", codes).astype(np.float32)
        if codes.ndim != 2 or codes.shape[1] != units:
            raise UserError(f"codes: {list(codes.shape)}; this model decodes [B, {units}].")
        return chunks.joined((np.asarray(decode(chunk)) for chunk in chunks.chunked(codes)), len(codes))

    return call


def portable_functions(
    pure: Compiled, state: Any, image_shape: tuple[int, ...], units: int
) -> dict[str, portable.Function]:
    """Returns encode and decode of a state, in the form of convolutions that every runtime has."""
    encode, decode = pure

    def encoded(images: Array) -> tuple[Array, ...]:
        with conv.using("lax"):
            return tuple(encode(state, images)[:2])

    def decoded(codes: Array) -> tuple[Array, ...]:
        with conv.using("lax"):
            return (decode(state, codes),)

    return {
        "encode": portable.Function(encoded, "images", image_shape, np.uint8, ("mean", "log_variance")),
        "decode": portable.Function(decoded, "codes", (units,), np.float32, ("images",)),
    }


@runtime.pinned()
def restored(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Model:
    """Returns the model whose `about` and `arrays` were saved; it lacks the arrays that only training reads.

    Raises UserError for a config that cannot be built here, and for arrays that are not those of its method.
    """
    runtime.check_process("model")
    for key, kind in KINDS.items():
        kinds.check(key, about.get(key), kind)
    config, images = freeze(about["config"], stored=True), ImageSpec(tuple(about["image_shape"]), about["train_size"])
    padding = Padding(tuple(about["allocation"]), about["parameters"])
    method, carried = build(config, images, padding), hyperparameters(config, padding.allocation)
    like = _needed(jax.eval_shape(method.init, jax.random.key(0, impl=runtime.KEYS), carried))
    held, wanted = structure(dict(arrays)), structure(like)
    if differing := {name for name, _ in held.items() ^ wanted.items()}:
        first = min(differing)
        raise UserError(
            f"model: version {about['version']} saved other arrays than version {version.VERSION} expects: "
            f"{len(differing)} differ, such as {first}, which is {held.get(first, 'missing')} there and "
            f"{wanted.get(first, 'missing')} here."
        )
    return make_model(config, jax.device_put(unflat(arrays, like)), about, compiled(method))


def _needed(state: Any) -> Any:
    """Returns a state without the arrays that only training reads."""
    return state._replace(optimizer=(), extra=()) if isinstance(state, State) else state
