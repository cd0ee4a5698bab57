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


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        shutil.rmtree(CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_programs():
    """Populations of one program share what is traced and compiled, the slow part of a test."""
    from scaledis import methods
    from scaledis.core import runtime
    from scaledis.sweeps import plan
    from scaledis.training import population

    build, make_advance, found = methods.build, population.Population._make_advance, {}

    def once(*key_and_make):
        *key, make = key_and_make
        key = tuple(key)
        if key not in found:
            found[key] = make()
        return found[key]

    def built(config, images):
        sizes = config.model.allocation, config.model.parameters
        return once(plan.program(config), *sizes, images, lambda: build(config, images))

    @runtime.pinned()
    def compiled_init(self):
        options = {"out_shardings": self.by_run, "compiler_options": runtime.compiler_options(0)}
        capacities = tuple(config.model.parameters for config in self.configs)
        init = once("init", self.method, capacities, lambda: jax.jit(self._init, **options))
        return init(*self._arguments)

    def advance(self, dataset):
        found.setdefault(id(dataset), dataset)  # an id is its own only as long as the object is there
        data = self.config.data
        return once(self.method, len(self.configs), data, id(dataset), lambda: make_advance(self, dataset))

    def codes(self):
        pinned = runtime.pinned()
        make = lambda: (pinned(jax.jit(self.method.encode)), pinned(jax.jit(self.method.decode)))  # noqa: E731
        return once("codes", self.method, make)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "build", built)
        patch.setattr(population.Population, "init", compiled_init)
        patch.setattr(population.Population, "_make_advance", advance)
        patch.setattr(population.Population, "_compiled", property(codes))
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
