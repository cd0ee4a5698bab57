import functools
import gc
import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path

import jax
import pytest

# Two devices, as on a laptop, and quick compilation: tests run few steps of tiny networks, and many of the same.
os.environ["JAX_NUM_CPU_DEVICES"] = "2"  # in processes that tests start
jax.config.update("jax_num_cpu_devices", 2)
FLAGS = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):  # a flag that XLA lacks ends it
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])
CACHE = Path(tempfile.gettempdir()) / f"scaledis-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(CACHE)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"


LONGEST = ("every_method", "population", "rungs", "notebook", "main", "doors", "training")
LONGEST += ("accelerator", "wheel", "saved")


def pytest_collection_modifyitems(items):
    """The longest files first, so that no worker ends long after the others; a file stays on one worker."""
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in LONGEST)


def pytest_collection_finish(session):
    """Tracing makes very many small objects, which are searched for garbage less often."""
    gc.set_threshold(50_000, 20, 20)


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        shutil.rmtree(CACHE, ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def shared_programs():
    """Populations of one program share what is traced and compiled, the slow part of a test; programs are large."""
    from scaledis.training import population, steps

    with pytest.MonkeyPatch.context() as patch:
        for room, name in ((population, "make_program"), (steps, "_make_stretch"), (steps, "_make_step")):
            patch.setattr(room, name, functools.lru_cache(24)(getattr(room, name).__wrapped__))
        yield


@pytest.fixture(autouse=True, scope="module")
def few_rounds():
    """DCI by a tenth of its rounds, but for its own tests."""
    from scaledis.metrics.shared import boosting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "ROUNDS", 10)
        yield


@pytest.fixture(scope="module")
def linear_method():
    """The method `linear` of tests/linear.py, registered."""
    from scaledis import methods
    from tests import linear

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods.REGISTRY, "registered", {})
        linear.register()
        yield
