"""What an accelerator does with the package, in the minutes that one is lent: right numbers, speed, resume, a table.

    python -m experiments.benchmarks.accelerator --minutes=9 --to=runs/accelerator
    python -m experiments.benchmarks.accelerator --miniature --to=/tmp/miniature      # everything small, on any machine
    JAX_PLATFORMS=cpu python -m experiments.benchmarks.accelerator --reference        # the CPU's numbers, anew

It needs jax, flax, optax, orbax-checkpoint, chex, etils and tqdm; parts that need another missing package are left out
by name. In this order, each part written to <to>/results.json as soon as it has ended, the last ones as far as time
goes:

    machine      devices, versions, missing packages; the rate of a matrix product and of a copy
    correctness  20 steps of every method, tiny, against the numbers of a CPU (results/accelerator/reference.json)
    resume       steps, a checkpoint, steps: bit for bit the steps at once
    speed        milliseconds a step of R = 1, 4, 16, 64, 256 runs of the ladder in both forms of a convolution, and the
                 share of the rate of a matrix product that its arithmetic takes
    pytorch      its twin in PyTorch, one model
    table        one population of Table 1 at the papers' size, as many steps as fit: terms, and every model and its
                 codes of 2,048 images in half precision, below 16 MB a file
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaledis import methods
from scaledis.config import Config
from scaledis.core import runtime
from scaledis.core.version import here
from scaledis.datasets import Dataset
from scaledis.datasets.base import sampling
from scaledis.networks import conv
from scaledis.planning import programs
from scaledis.sweeps.configs import make_config
from scaledis.training.population import Population
from scaledis.training.program import make_program
from scaledis.types import ImageSpec
from scaledis.workdir.checkpoint import Checkpoints, flat

REFERENCE = Path(__file__).parents[1] / "results" / "accelerator" / "reference.json"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "torch", "ml_collections", "lightgbm")
CLOSE = 0.02  # relative difference of a term after 20 steps, of which rounding alone takes less
SIZES, MINIATURE = (1, 4, 16, 64, 256), (2,)
SOME = ("scale_vlae", "factor_vae")  # methods
FORMS = ("lax", "products")
LEFT = 30.0  # seconds that the last part keeps to write its files
SMALL_FILE = 15e6  # bytes
TINY = {
    "model.channels": (4, 4, 4, 4),
    "model.parameters": 6000,
    "objective.bank": 24,
    "discriminator.features": 16,
    "discriminator.layers": 2,
    "train.batch": 8,
    "train.steps": 20,
    "evaluate.chance": 0,
}


def images(side: int, count: int) -> Dataset:
    """Returns squares of a color at a place, with noise: [count, side, side, 3]."""
    rng = np.random.default_rng(0)
    shade, place = np.meshgrid(np.arange(count // 8), np.arange(8), indexing="ij")
    pixels = rng.integers(0, 32, (count, side, side, 3), dtype=np.uint8)
    for image, level, at in zip(pixels, shade.ravel(), place.ravel(), strict=True):
        image[:, at * side // 8 : (at + 1) * side // 8] += np.uint8(40 + 180 * level / (count // 8))
    values = (np.arange(float(count // 8)), np.arange(8.0))
    return Dataset("squares", ("shade", "place"), values, (side, side, 3), pixels, lambda source, index: source[index])


def tiny_terms(name: str) -> dict[str, float]:
    """Returns the terms of 20 steps of a tiny run of a method, as means."""
    units = {"model.latents": 3} if methods.choose(name).flat else {"model.allocation": (2, 1)}
    dataset, config = images(16, 96), make_config(name, {**TINY, **units})
    population = Population([config], sampling.spec_of(dataset, config.data))
    _, terms = population.make_advance(dataset)(population.init(), 20)
    return {key: float(term[0]) for key, term in jax.device_get(terms).items()}


def machine(_: argparse.Namespace) -> dict[str, Any]:
    """The devices, the versions, and the two rates that bound every program."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name.split("-")[0]) is None]
    versions = {
        name: importlib.metadata.version(name) for name in PACKAGES if name not in {*missing, "orbax-checkpoint"}
    }
    devices = [device.device_kind for device in jax.devices()]
    side = 4096 if runtime.platform() != "cpu" else 512
    square = jnp.ones((side, side))
    product = jax.jit(lambda a: a @ a)
    exact = jax.jit(lambda a: jnp.dot(a, a, precision=jax.lax.Precision.HIGHEST))
    copy = jax.jit(lambda a: a + 1)
    return {
        "devices": devices,
        "machine": runtime.machine(),
        **here(),
        "versions": versions,
        "missing": missing,
        "product_flops": 2 * side**3 / seconds(lambda: product(square)),
        "float32_product_flops": 2 * side**3 / seconds(lambda: exact(square)),
        "copy_bytes": 2 * square.nbytes / seconds(lambda: copy(square)),
    }


def seconds(call: Callable[[], Any], rounds: int = 5) -> float:
    """Returns the least seconds that a call took, its compilation left out."""
    jax.block_until_ready(call())
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - began)
    return min(times)


def correctness(options: argparse.Namespace) -> dict[str, Any]:
    """The largest relative difference of a term from the CPU's, and its name, for every method."""
    expected, found = json.loads(REFERENCE.read_text()), {}
    for name in SOME if options.miniature else expected:
        own, terms = tiny_terms(name), expected[name]
        differences = {key: abs(own[key] - value) / max(abs(value), 0.1) for key, value in terms.items()}
        worst = max(differences, key=differences.__getitem__)
        found[name] = {"difference": differences[worst], "of": worst, "close": differences[worst] < CLOSE}
    return found


def resume(options: argparse.Namespace) -> dict[str, Any]:
    """How many arrays of a population differ in any bit between 40 steps and 20, a checkpoint, and 20."""
    dataset, found = images(16, 96), {}
    for name in SOME[:1] if options.miniature else SOME:
        units = {"model.latents": 3} if methods.choose(name).flat else {"model.allocation": (2, 1)}
        configs = [make_config(name, {**TINY, **units, "seed": seed}) for seed in (0, 1)]
        population = Population(configs, sampling.spec_of(dataset, configs[0].data))
        advance = population.make_advance(dataset)
        whole, _ = advance(population.init(), 40)
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = Checkpoints(Path(folder))
            checkpoints.save(20, advance(population.init(), 20)[0], {})
            parts, _ = advance(checkpoints.restore(population.shapes, 20), 20)
        pairs = zip(flat(jax.device_get(whole)).items(), flat(jax.device_get(parts)).values(), strict=True)
        found[name] = [key for (key, one), other in pairs if not np.array_equal(one, other, equal_nan=True)]
    return {name: {"differing": differing} for name, differing in found.items()}


def populations(options: argparse.Namespace) -> Iterator[tuple[int, str, list[Config], Dataset]]:
    """Every size and form, smallest first, while time lasts."""
    side = 16 if options.miniature else 64
    dataset = images(side, 96 if options.miniature else 4096)
    small = TINY | {"model.allocation": (2, 1)} if options.miniature else {}
    for size in MINIATURE if options.miniature else SIZES:
        for form in FORMS:
            if time.monotonic() > options.deadline - options.table and not options.miniature:
                return
            configs = [make_config("scale_vlae", {**small, "seed": seed}) for seed in range(size)]
            yield size, form, configs, dataset


@contextlib.contextmanager
def forced(form: str) -> Iterator[None]:
    """Gives the convolutions of programs that are made within a form, whatever their devices are."""
    held = dict(conv.FORMS)
    make_program.cache_clear()  # the programs that it holds have a form already
    conv.FORMS.update(dict.fromkeys(held, form))
    try:
        yield
    finally:
        conv.FORMS.update(held)
        make_program.cache_clear()


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a step, seconds to the first step, and the rate of convolutions and products, by size and form."""
    found: dict[str, Any] = {}
    for size, form, configs, dataset in populations(options):
        try:
            with forced(form):
                began = time.perf_counter()
                population = Population(configs, ImageSpec(dataset.image_shape, dataset.size))
                advance, state = population.make_advance(dataset), population.init()
                state, terms = advance(state, 1)
                jax.block_until_ready(terms)
                compiling = time.perf_counter() - began
                began, count = time.perf_counter(), 5 if options.miniature else 20
                state, terms = advance(state, count)
                jax.block_until_ready(terms)
            each = (time.perf_counter() - began) / count
            found[f"{size} {form}"] = {
                "milliseconds_a_step": 1e3 * each,
                "milliseconds_a_step_and_run": 1e3 * each / size,
                "first_step_seconds": compiling,
                "flops": size * programs.needed_flops(population) / each,
            }
        except jax.errors.JaxRuntimeError as error:  # it does not fit
            found[f"{size} {form}"] = {"failed": str(error).partition("\n")[0]}
    return found


def pytorch(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a step of the twin in PyTorch, on its GPU where it sees one."""
    if importlib.util.find_spec("torch") is None:
        return {"left out": "torch is missing"}
    if options.miniature:
        return {"left out": "the twin has one size"}
    import torch

    from experiments.benchmarks import pytorch as twin

    device = "cuda" if torch.cuda.is_available() else "cpu"
    advance = twin.torch_step(runtime.cores(), twin.example(), device)

    def call():
        advance()
        if device == "cuda":
            torch.cuda.synchronize()

    return {"device": device, "milliseconds_a_step": 1e3 * seconds(call, 3) / twin.STEPS}


def table(options: argparse.Namespace) -> dict[str, Any]:
    """Trains one population of Table 1 until the time is over, and writes its models and codes in half precision."""
    if options.miniature:
        dataset, overrides = images(16, 96), TINY | {"model.allocation": (2, 1)}
    else:
        config = make_config("scale_vlae", {"data.name": "rendered"})
        dataset, overrides = sampling.load_dataset(config.data), {"data.name": "rendered"}
    runs = 2 if options.miniature else 8
    configs = [make_config("scale_vlae", {**overrides, "train.steps": 300_000, "seed": seed}) for seed in range(runs)]
    population = Population(configs, sampling.spec_of(dataset, configs[0].data))
    advance, states, done, stretch = population.make_advance(dataset), population.init(), 0, 20
    terms: dict[str, Any] = {}
    ends = options.deadline - (2.0 if options.miniature else LEFT)
    while not done or (done < configs[0].train.steps and time.monotonic() < ends):
        began = time.monotonic()
        states, terms = advance(states, stretch)
        jax.block_until_ready(terms)
        done += stretch
        if time.monotonic() - began < 2 and not options.miniature:
            stretch *= 2
    index = np.random.default_rng(0).permutation(dataset.size)[:2048]
    files = []
    for slot in range(runs):
        model = population.model(states, slot)
        codes = model.encode(dataset.images(index))
        arrays = {f"params/{name}": leaf for name, leaf in flat(jax.device_get(model.state.params)).items()}
        arrays |= {"codes/mean": codes.mean, "codes/log_variance": codes.log_variance}
        half: dict[str, Any] = {name: np.asarray(array).astype(np.float16) for name, array in arrays.items()}
        path = options.to / f"model-{slot}.npz"
        np.savez_compressed(path, **half, index=index, factors=dataset.factors(index))
        files.append({"name": path.name, "bytes": path.stat().st_size, "small": path.stat().st_size < SMALL_FILE})
    shown = {name: np.asarray(term).tolist() for name, term in jax.device_get(terms).items()}
    return {"steps": done, "runs": runs, "dataset": dataset.name, "terms": shown, "files": files}


PARTS = {part.__name__: part for part in (machine, correctness, resume, speed, pytorch, table)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="after which it ends")
    parser.add_argument("--to", type=Path, default=Path("runs/accelerator"), help="the folder of what it writes")
    parser.add_argument("--miniature", action="store_true", help="small networks and few steps")
    parser.add_argument("--reference", action="store_true", help="write the numbers of a CPU that others are held to")
    options = parser.parse_args(arguments)
    runtime.prepare_jax()
    if options.reference:
        REFERENCE.parent.mkdir(exist_ok=True)
        REFERENCE.write_text(json.dumps({name: tiny_terms(name) for name in sorted(methods.specs())}, indent=1) + "\n")
        return
    options.deadline = time.monotonic() + 60 * options.minutes
    options.table = 30 * options.minutes  # seconds that are left for the table
    options.to.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for name, part in PARTS.items():
        began = time.monotonic()
        try:
            results[name] = part(options)
        except Exception:  # the next part may still run
            results[name] = {"failed": traceback.format_exc(limit=-3)}
        results[name]["seconds"] = round(time.monotonic() - began, 1)
        (options.to / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        print(name, json.dumps(results[name])[:1000], flush=True)


if __name__ == "__main__":
    main()
