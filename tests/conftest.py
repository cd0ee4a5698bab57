import os
import shutil
import tempfile
from pathlib import Path

# Two devices, as on a laptop, and quick compilation: tests run few steps of tiny networks, and many of the same.
FLAGS = [
    "--xla_force_host_platform_device_count=2",
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
]
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])
CACHE = Path(tempfile.gettempdir()) / f"scaledis-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(CACHE)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        shutil.rmtree(CACHE, ignore_errors=True)
