"""One training step of the scale-aware ladder VAE against a PyTorch twin of it, on a CPU.

    pip install -e .[bench]
    python -m experiments.benchmarks.pytorch

Same network with the same parameters (the outputs are compared first), same batch of images, same loss, clipping and
Adam, all in float32; the twin in PyTorch's fastest layout (channels_last) and with its fused Adam. Ours draws its noise
and computes every logged term as in training; the twin computes the loss alone. Contestants are processes that live
throughout and step in turn, so that a slow phase of the machine hits them alike. Milliseconds per step and model:

    one model:   ours with all cores              against PyTorch with all threads, spinning or sleeping between
                                                  tasks (OMP_WAIT_POLICY), whichever is faster on this machine
    population:  ours, one model per core, at once against as many PyTorch processes of one thread each, at once

A ratio is the median over rounds of ours over theirs in the same round. Prints the table and writes
experiments/results/benchmark.json, an entry for each kind of CPU; cpu.py adds to it where the time goes.
"""

import datetime
import importlib.metadata
import multiprocessing
import os
import platform
import statistics
import time
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from experiments.tables import RESULTS
from scaledis.core.files import read_json, write_json
from scaledis.core.runtime import cores, machine, prepare_jax
from scaledis.core.version import commit
from scaledis.datasets import Dataset
from scaledis.networks import ladder
from scaledis.objectives import partition
from scaledis.sweeps.configs import make_config
from scaledis.training.population import Population
from scaledis.types import ImageSpec

ROUNDS, STEPS, WARM_UP = 9, 10, 2
FILE = RESULTS / "benchmark.json"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def settings(seed=0):
    return make_config("scale_vlae", {"seed": seed})


def fixed_images():
    """A data set whose every sample is the same batch, so that data costs neither side anything."""
    images = np.random.default_rng(0).integers(0, 256, (settings().train.batch, 64, 64, 3), dtype=np.uint8)
    return Dataset("fixed", ("image",), (np.arange(480_000),), (64, 64, 3), images, lambda images, index: images)


def our_step(runs):
    """() -> None, which trains a population of `runs` for `STEPS` steps in one call, as train.py does."""
    prepare_jax()
    members, dataset = [settings(seed) for seed in range(runs)], fixed_images()
    population = Population(members, ImageSpec(dataset.image_shape, dataset.size))
    advance_by, state = population.make_advance(dataset), population.init()

    def advance():
        nonlocal state
        state, terms = advance_by(state, STEPS)
        jax.block_until_ready(terms)

    return advance


def example():
    """Of ours, as numpy, for the twin to reproduce: parameters, images, mean, log_variance, output for codes = mean."""
    config, images = settings(), fixed_images().source
    network = ladder.make_ladder(config, ImageSpec((64, 64, 3), len(images)))
    pixels = images.transpose(3, 1, 2, 0) / np.float32(255)

    @jax.jit
    def run(pixels):
        params = network.init(jax.random.key(0), pixels)
        there = jnp.ones(len(config.model.allocation))
        mean, log_variance = network.apply(params, pixels, there, method="encode")
        output = network.apply(params, mean, there, method="decode")
        return params["params"], images, mean.T, log_variance.T, output.transpose(3, 0, 1, 2)

    return jax.tree.map(np.asarray, run(pixels))


def torch_step(threads, example, device="cpu"):
    """() -> None, which trains the twin for `STEPS` steps. Raises AssertionError if it is not a twin."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    params, images, *expected = example
    run, relu = settings(), torch.relu
    allocation, hyperparameters = run.model.allocation, run.method.hyperparameters
    depths = ladder.depths(len(allocation))

    def layer(name, kernel, bias):
        if kernel.ndim == 2:
            module = nn.Linear(*kernel.shape)
            kernel = kernel.T
        else:
            transposed = name == "f0" or name.startswith("u")
            module = (nn.ConvTranspose2d if transposed else nn.Conv2d)(*kernel.shape[2:], 4, 2, 1)
            kernel = kernel.transpose((2, 3, 0, 1) if transposed else (3, 2, 0, 1))
        module.load_state_dict({"weight": torch.tensor(kernel.copy()), "bias": torch.tensor(bias)})
        return module

    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            layers = params["encoder"] | params["decoder"]
            self.of = nn.ModuleDict({name: layer(name, **weights) for name, weights in layers.items()})

        def encode(self, x):
            of, means, log_variances = self.of, {}, {}
            for depth in range(1, ladder.DEPTH + 1):
                x = relu(of[f"g{depth}"](x))
                if depth in depths:
                    state = relu(of[f"ladder{depth}"](x)) if depth < ladder.DEPTH else x
                    hidden = relu(of[f"hidden{depth}"](state.flatten(1)))
                    means[depth] = of[f"mean{depth}"](hidden)
                    log_variances[depth] = of[f"log_variance{depth}"](hidden)
            log_variance = torch.cat([log_variances[depth] for depth in depths], 1)
            return torch.cat([means[depth] for depth in depths], 1), log_variance.clamp(*ladder.LOG_VARIANCE_RANGE)

        def decode(self, z):
            of, levels = self.of, dict(zip(depths, z.split(allocation, 1), strict=True))
            x = relu(of["f"](relu(of["f_hidden"](levels[ladder.DEPTH]))))
            x = x.view(-1, run.model.channels[-1], 4, 4).contiguous(memory_format=torch.channels_last)
            for depth in range(ladder.DEPTH - 1, 0, -1):
                injected = relu(of[f"v{depth}"](relu(of[f"v{depth}_hidden"](levels[depth]))))
                places = x.shape[2:] if run.model.injection == "map" else (1, 1)
                x = torch.cat([x, injected.view(len(x), -1, *places).expand(-1, -1, *x.shape[2:])], 1)
                x = relu(of[f"u{depth}"](x))
            return of["f0"](x)

    twin = Twin().to(device, memory_format=torch.channels_last)
    adam = torch.optim.Adam(twin.parameters(), run.train.learning_rate, fused=True)
    images = torch.tensor(images, device=device).permute(0, 3, 1, 2)  # channels_last
    parts = partition.levels(allocation)
    membership, rows = torch.tensor(np.array(partition.membership(parts)), device=device), partition.contrasts(parts)
    penalty_row = (hyperparameters["beta"] - 1) * rows.intra.sum(0) + hyperparameters["gamma"] * rows.inter
    penalty_row = torch.tensor(np.array(penalty_row), device=device)
    log_two_pi = float(np.log(2 * np.pi))

    def loss(step):
        x = images.float() / 255
        mean, log_variance = twin.encode(x)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        reconstruction = 0.5 * ((twin.decode(z) - x) / run.objective.sigma).square().sum((1, 2, 3)).mean()
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
        log_q = -0.5 * (log_two_pi + log_variance + (z[:, None] - mean) ** 2 * torch.exp(-log_variance))
        log_aggregate = torch.logsumexp(log_q @ membership.T, 1)  # the constant - log B^2 has no gradient
        penalty = (log_aggregate @ penalty_row).mean()
        return reconstruction - np.expm1(-step / run.objective.kl_warmup) * (kl + penalty)

    with torch.no_grad():
        mean, log_variance = twin.encode(images.float() / 255)
        for ours, theirs in zip(expected, (mean, log_variance, twin.decode(mean)), strict=True):
            np.testing.assert_allclose(theirs.cpu(), ours, atol=1e-4 if device == "cpu" else 1e-2)

    def advance():
        for step in range(STEPS):
            adam.zero_grad()
            loss(step).backward()
            nn.utils.clip_grad_norm_(twin.parameters(), run.train.gradient_clip)
            adam.step()

    return advance


def contestant(pipe, build, args):
    """A process: warms up, then answers each True with the milliseconds that one step took, until False."""
    advance = build(*args)
    for _ in range(WARM_UP):
        advance()
    pipe.send("ready")
    while pipe.recv():
        start = time.perf_counter()
        advance()
        pipe.send(1e3 * (time.perf_counter() - start) / STEPS)


def start(build, *args, **environment):
    context = multiprocessing.get_context("spawn")  # each sets its own threads and allocator
    ours, theirs = context.Pipe()
    with mock.patch.dict(os.environ, environment):
        context.Process(target=contestant, args=(theirs, build, args), daemon=True).start()
    ours.recv()
    return ours


def measure(team):
    """The slowest of contestants that step at once, in milliseconds."""
    for pipe in team:
        pipe.send(True)
    return max(pipe.recv() for pipe in team)


def main():
    models = cores()
    twin = example()
    teams = {
        f"ours, 1 model, {models} cores": ([start(our_step, 1)], 1),
        f"PyTorch, 1 model, {models} threads": ([start(torch_step, models, twin)], 1),
        f"PyTorch, 1 model, {models} sleeping threads": (
            [start(torch_step, models, twin, OMP_WAIT_POLICY="PASSIVE")],
            1,
        ),
        f"ours, population of {models}": ([start(our_step, models)], models),
        f"PyTorch, {models} processes of 1 thread": ([start(torch_step, 1, twin) for _ in range(models)], models),
    }
    load = os.getloadavg()[0]  # other work on the machine
    rounds = {name: [] for name in teams}
    for _ in range(ROUNDS):
        for name, (team, size) in teams.items():
            rounds[name].append(measure(team) / size)
    for team, _ in teams.values():
        for pipe in team:
            pipe.send(False)
    ours, spinning, sleeping, population, processes = (np.asarray(times) for times in rounds.values())
    ratios = {
        "one model": float(np.median(ours / np.minimum(spinning, sleeping))),
        "population": float(np.median(population / processes)),
    }
    for name, times in rounds.items():
        shown = " ".join(f"{time_:.1f}" for time_ in times)
        print(f"{name:36s} {statistics.median(times):7.1f} ms per step and model   {shown}")
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f} times PyTorch")
    versions = {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()}
    store(
        {
            "date": datetime.date.today().isoformat(),
            "commit": commit(),
            "load_before": load,
            "versions": versions,
            "batch": settings().train.batch,
            "milliseconds_per_step_and_model": rounds,
            "ratio_to_torch": ratios,
        }
    )


def store(found: dict[str, Any]) -> None:
    """Adds facts to the entry of this kind of CPU."""
    known = read_json(FILE) if FILE.exists() else {}
    write_json(FILE, dict(sorted((known | {machine(): known.get(machine(), {}) | found}).items())))


if __name__ == "__main__":
    main()
