"""`prepare` in a process of its own, since its settings last."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os
from scaledis.runtime import cores, prepare
prepare()
import jax
print(os.environ["XLA_FLAGS"], cores(), jax.device_count(), jax.config.jax_compilation_cache_dir, sep="|")
"""


def prepared(home, **variables):
    """[XLA_FLAGS, cores, devices, cache directory] after `prepare`, with these environment variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_"))}
    environment = kept | {"JAX_PLATFORMS": "cpu", "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment | variables, capture_output=True, text=True, check=True
    )
    flags, cores, devices, cache = result.stdout.strip().split("|")
    return flags.split(), int(cores), int(devices), cache


def test_one_device_per_core_and_a_cache(tmp_path):
    flags, cores, devices, cache = prepared(tmp_path)
    assert flags == [f"--xla_force_host_platform_device_count={cores}"]
    assert devices == cores
    assert cache == str(tmp_path / ".cache" / "scaledis" / "xla")


@pytest.mark.parametrize("own, expected", [("3", 3), (None, None)])
def test_what_the_user_has_set_is_kept(tmp_path, own, expected):
    flag = "--xla_force_host_platform_device_count"
    given = ["--xla_cpu_enable_fast_math=false"] + ([f"{flag}={own}"] if own else [])
    flags, cores, devices, cache = prepared(tmp_path, XLA_FLAGS=" ".join(given), JAX_COMPILATION_CACHE_DIR="/elsewhere")
    assert flags == given + ([] if own else [f"{flag}={cores}"])
    assert devices == (expected or cores)
    assert cache == "/elsewhere"
