"""Model: a trained run that encodes, decodes and saves itself."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from scaledis.config import Config
from scaledis.core import UserError, bundle, card, convert, files, hub, kinds, portable
from scaledis.types import Codes, in_words


def _foreign(*_: Any) -> NoReturn:
    raise UserError("model: it was not made by scaledis; it has no likelihood, and cannot be saved or pickled.")


def traversed(mean: np.ndarray, low: float = -3.0, high: float = 3.0, steps: int = 7) -> np.ndarray:
    """Returns codes [..., K, steps, K] that move each unit of [..., K] from `low` to `high`, the others fixed."""
    mean = np.asarray(mean, np.float32)
    units = np.arange(mean.shape[-1])
    moved = np.tile(mean[..., None, None, :], (len(units), steps, 1))
    moved[..., units, :, units] = np.linspace(low, high, steps)
    return moved


class Model(NamedTuple):
    """A trained run, without the padding of its population; it needs no data set, and can be saved and pickled.

    config: that of the run.
    step: steps done; for a diverged run, the step of its last finite state.
    state: that of the method.
    encode: images uint8 [B, H, W, C] -> Codes, mean and log_variance [B, K] and levels [K], as numpy arrays.
    decode: codes [B, K] -> expected images float [B, H, W, C] in [0, 1], as a numpy array.
    about: the facts that `save` writes beside the arrays, as JSON: config, step, data set, scores, version and commit.
    arrays: () -> the part of the state that encode and decode need, {path of a leaf: numpy array}.
    make: (about, arrays) -> the same model.
    negative_log_likelihood: expected images and images, [B, H, W, C] in [0, 1] -> -log p(x | z) in nats, [B].
    functions: (state, images) -> Codes and (state, codes) -> expected images, on arrays of JAX: pure functions for the
      caller's jit, vmap and grad. Images may be float, 0 to 255, so that there is a gradient in them.
    programs: () -> encode and decode of arrays as `export` writes them.

    encode and decode take arrays of any framework and any B, even 0: they work in chunks of one shape, compiled once.
    They raise UserError for arrays of another kind or shape, and in a process that was forked after JAX has computed.
    """

    config: Config
    step: int
    state: Any
    encode: Callable[[Any], Codes]
    decode: Callable[[Any], np.ndarray]
    about: Mapping[str, Any] = MappingProxyType({})
    arrays: Callable[[], dict[str, np.ndarray]] = _foreign
    make: Callable[..., Any] = _foreign
    negative_log_likelihood: Callable[[Any, Any], np.ndarray] = _foreign
    functions: tuple[Callable[[Any, Any], Codes], Callable[[Any, Any], Any]] = (_foreign, _foreign)
    programs: Callable[[], dict[str, portable.Function]] = _foreign

    def save(self, path: str | Path) -> None:
        """Writes the folder `path` that `scaledis.load_model` reads: model.safetensors and model.json.

        The folder lacks the arrays that only training needs, such as the optimizer's. Raises UserError if the folder
        cannot be written, and for a model of a method whose state has other types than float32 and whole numbers.
        """
        kinds.check("path", path, str | Path)
        bundle.write(files.directory("path", path), self.about, self.arrays())

    def export(self, path: str | Path, format: str = "jax") -> None:
        """Writes encode and decode as programs that need neither this package nor the code of the method.

        encode is images uint8 [B, H, W, C] -> (mean, log_variance), decode codes [B, K] -> images; B may be any number.
        The folder `path` has `encode.jax` and `decode.jax`, programs of `jax.export` for CPU, GPU and TPU that
        `scaledis.load_exported` or `jax.export.deserialize` reads, or `encode.onnx` and `decode.onnx`; beside them is
        `export.json`: `about`, the level of each unit, the names of the arrays, and checksums.

        Raises UserError for an unknown format, if a library is missing or the folder cannot be written, and for a
        network with an operation that this package cannot write as ONNX.
        """
        kinds.check("path", path, str | Path)
        kinds.check("format", format, str)
        functions = self.programs()
        levels = self.encode(np.zeros((0, *functions["encode"].shape), np.uint8)).levels.tolist()
        portable.write(files.directory("path", path), functions, {**self.about, "levels": levels}, format)

    def push_to_hub(self, repo: str, private: bool = False) -> str:
        """Uploads the files of `save` and a card to a repository of the Hugging Face hub, and returns its address.

        `scaledis.from_pretrained(repo)` loads the model. The card has the data with their fingerprint, the scores with
        their chance levels, the config, and how to load the model. Log in first with `hf auth login`.

        Args:
          repo: "owner/name"; the repository is created if it does not exist.
          private: whether a repository that is created is private.

        Raises UserError if huggingface_hub is missing, and if the hub refuses the upload.
        """
        kinds.check("repo", repo, str)
        with tempfile.TemporaryDirectory() as folder:
            self.save(folder)
            (Path(folder) / "README.md").write_text(card.make_card(self.about, repo), "utf-8")
            return hub.push(Path(folder), repo, private, f"{self!r}")

    def reconstruct(self, images: Any) -> np.ndarray:
        """Returns the images [B, H, W, C] decoded from the posterior means of images uint8, float in [0, 1]."""
        return self.decode(self.encode(images).mean)

    def traverse(self, image: Any, low: float = -3.0, high: float = 3.0, steps: int = 7) -> np.ndarray:
        """Returns the traversal of an image uint8 [H, W, C]: expected images float [K, steps, H, W, C] in [0, 1].

        Row k moves unit k from `low` to `high`, in standard deviations of the prior; the other units stay at the
        posterior mean of the image.
        """
        kinds.check("steps", steps, int)
        if steps < 1 or not np.isfinite([low, high]).all():
            raise UserError(
                f"steps, low, high: {steps}, {low}, {high}; at least one step between finite ends is needed."
            )
        codes = traversed(self.encode(convert.numbers("image", image)[None]).mean[0], low, high, steps)
        decoded = self.decode(codes.reshape(-1, codes.shape[-1]))
        return decoded.reshape(*codes.shape[:2], *decoded.shape[1:])

    def elbo(self, images: Any, samples: int = 1, seed: int = 0) -> np.ndarray:
        """Returns the ELBO of each image, in nats, [B]; the images are uint8 [B, H, W, C].

            E_q(z|x) log p(x | z) - KL(q(z | x) || p(z))

        The expectation is the mean over `samples` codes of each posterior, drawn by `seed`; the likelihood is that of
        the config, with the sigma that the run has learned or that its config names.
        """
        for name, value, least in (("samples", samples, 1), ("seed", seed, 0)):
            kinds.check(name, value, int)
            if value < least:
                raise UserError(f"{name}: {value} must be at least {least}.")
        images = convert.numbers("images", images)
        mean, log_variance, _ = self.encode(images)
        pixels, rng = images / np.float32(255), np.random.default_rng(seed)
        nats = np.zeros(len(images))
        for _ in range(samples):
            noise = rng.standard_normal(mean.shape).astype(np.float32)
            decoded = self.decode(mean + np.exp(log_variance / 2) * noise)
            nats += self.negative_log_likelihood(decoded, pixels) / samples
        kl = 0.5 * (np.square(mean) + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
        return np.asarray(-nats - kl)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        arrays = self.arrays()  # first, since it raises
        return self.make, (dict(self.about), arrays)

    def __repr__(self) -> str:
        return f"Model({in_words(self.config)}, step {self.step})"
