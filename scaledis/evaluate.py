"""Scores of trained runs: encode images by their posterior means, then every metric, per level and over all units."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from scaledis import gaussian, metrics, population, results, sampling, train
from scaledis.config import Config
from scaledis.datasets import Dataset
from scaledis.errors import UserError
from scaledis.methods import Codes
from scaledis.population import NEVER
from scaledis.results import Workdir
from scaledis.sweep import Member

CHUNK = 500  # images encoded at once
NO_FACTORS = " the codes only: the data set has no factors, so that no metric applies"


def evaluate(
    members: Sequence[Member], index: int, dataset: Dataset, workdir: Workdir, stop: Callable[[], bool]
) -> None:
    """Writes scores.json and codes.npz of every run of population `index` that lacks them at its newest step."""
    found = train.trained(members, index, dataset, workdir)
    if found is None:
        return
    step, runs = found
    configs = [member.config for member in members]
    allocation = population.padded(configs)
    method = population.build(configs, dataset)
    encode = jax.jit(method.encode)
    for slot, (name, config) in enumerate(members):
        run = population.member(runs, slot)
        path = workdir.run(name) / "scores.json"
        if stop():
            raise train.Stopped("Stopped between evaluations; the same command goes on from there.")
        if path.exists() and results.read_json(path)["step"] == step:
            continue
        print(f"{name}: scoring{'' if dataset.factor_names else NO_FACTORS}", file=sys.stderr)
        images = sampled(dataset, config)
        codes = encoded(lambda images, state=run.method: encode(state, images), dataset, images)
        active = population.active(config, allocation)
        codes = Codes(codes.mean[:, active], codes.log_variance[:, active], codes.levels[active])
        diverged = int(run.diverged)
        kl = np.asarray(gaussian.kl_to_standard(codes.mean, codes.log_variance)).mean(0)
        results.write_arrays(
            workdir.run(name) / "codes.npz", index=images, mean=codes.mean, log_variance=codes.log_variance
        )
        scores = {
            "run": name,
            "dataset": dataset.name,
            "split": config.evaluate.split,
            "held_out": config.data.held_out,
            "step": step,
            "diverged": None if diverged == NEVER else diverged,
            "unit_kl_nats": kl.tolist(),
            **(score(codes, dataset.factors(images), config) if dataset.factor_names else {"all": {}}),
        }
        results.write_json(path, scores)


def sampled(dataset: Dataset, config: Config) -> np.ndarray:
    """Indices of the train codes, then of the test codes: disjoint, drawn without replacement from the split.

    Raises UserError if the split has fewer images.
    """
    settings = config.evaluate
    among = sampling.split(dataset, config.data, settings.split)
    wanted = settings.train_codes + settings.test_codes
    if len(among) < wanted:
        raise UserError(
            f"evaluate.train_codes + evaluate.test_codes: {wanted:,} codes, but {dataset.name} has "
            f"{len(among):,} images in the split {settings.split!r}."
        )
    return np.random.default_rng(settings.seed).permutation(among)[:wanted]


def encoded(encode: Callable[[np.ndarray], Codes], dataset: Dataset, index: np.ndarray) -> Codes:
    """Codes of the images at `index` [n]: mean and log_variance [n, K] as numpy arrays."""
    chunks = [index[start : start + CHUNK] for start in range(0, len(index), CHUNK)]
    padded = [np.resize(chunk, CHUNK) for chunk in chunks]  # one shape, one compilation
    parts = [encode(dataset.images(chunk)) for chunk in padded]
    mean = np.concatenate([np.asarray(part.mean) for part in parts])[: len(index)]
    log_variance = np.concatenate([np.asarray(part.log_variance) for part in parts])[: len(index)]
    return Codes(mean, log_variance, np.asarray(parts[0].levels))


def score(codes: Codes, factors: np.ndarray, config: Config) -> dict[str, Any]:
    """All metrics over all units under "all", and over each level's own under "level4" (top) to "level1" (bottom).

    A flat model has "all" alone.
    """
    settings = config.evaluate
    share = settings.train_codes / (settings.train_codes + settings.test_codes)
    options = {"dci": {"backend": settings.dci_backend, "train_fraction": share}}
    options = {name: option for name, option in options.items() if name in settings.metrics}
    depth = len(config.model.allocation)
    groups = {"all": np.ones(codes.levels.shape, bool)}
    groups |= {f"level{depth - level}": codes.levels == level for level in range(depth) if depth > 1}
    return {
        name: metrics.compute(settings.metrics, codes.mean[:, units], factors, settings.seed, options)
        for name, units in groups.items()
    }
