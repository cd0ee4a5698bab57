"""`prepare_jax` in a process of its own, since its settings last; the cores that a container grants."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import jax
import jaxlib
import pytest

from scaledis import load_dataset
from scaledis.core import runtime
from scaledis.core.errors import UserError
from scaledis.metrics.of_models.shared import classifiers
from tests import tiny

DEVICES = "--xla_force_host_platform_device_count"
SCRIPT = """
import os
import pwd
from scaledis.core.runtime import cores, prepare_jax
prepare_jax()
import jax
jax.devices()
prepare_jax()
print(os.environ.get("XLA_FLAGS", ""), cores(), jax.device_count(), jax.config.jax_compilation_cache_dir, sep="|")
"""


def prepared(home, **variables):
    """[XLA_FLAGS, cores, devices, cache directory] after `prepare_jax`, with these environment variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_"))}
    environment = kept | {"JAX_PLATFORMS": "cpu", "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment | variables, capture_output=True, text=True, check=True
    )
    flags, cores, devices, cache = result.stdout.strip().split("|")
    return flags.split(), int(cores), int(devices), cache


def test_one_device_per_core_a_cache_of_this_machine_and_no_flag_of_xla(tmp_path):
    flags, cores, devices, cache = prepared(tmp_path)
    assert flags == []
    assert devices == cores
    assert os.path.dirname(cache) == str(tmp_path / ".cache" / "scaledis" / "xla")
    assert f"jaxlib-{jaxlib.version.__version__}-" in os.path.basename(cache)


def test_once_jax_has_computed_it_is_too_late(monkeypatch):
    jax.devices()
    monkeypatch.setattr(runtime, "_setting", lambda name: -1)  # as if nobody had said how many devices there are
    monkeypatch.setattr(runtime, "cores", lambda: 7)
    with pytest.raises(UserError, match="prepare_jax: JAX has computed already, on one device for all cores; call it"):
        runtime.prepare_jax()


def test_without_a_home_directory_nothing_is_cached_and_a_data_set_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Path(runtime.cache_directory()).parents[2] == tmp_path / ".cache"
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert runtime.cache_directory() is None
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # a user of a container that has no entry
    assert runtime.cache_directory() is None
    for make, given in ((load_dataset, "rendered"), (classifiers.of_dataset, tiny.dataset())):
        with pytest.raises(UserError, match="data.directory: '~/cache' cannot be used: Could not determine home"):
            make(given, "~/cache")


@pytest.mark.parametrize("own, expected", [("3", 3), (None, None)])
def test_what_the_user_has_set_is_kept(tmp_path, own, expected):
    given = ["--xla_cpu_enable_fast_math=false", "--xla_gpu_deterministic_ops=false"]
    given += [f"{DEVICES}={own}"] if own else []
    flags, cores, devices, cache = prepared(tmp_path, XLA_FLAGS=" ".join(given), JAX_COMPILATION_CACHE_DIR="/elsewhere")
    assert flags == given
    assert devices == (expected or cores)
    assert cache == "/elsewhere"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({"cpu.max": "nonsense"}, 64),
        ({}, 64),
    ],
)
def test_a_containers_quota_limits_the_cores(tmp_path, monkeypatch, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(runtime, "CGROUP", tmp_path)
    assert runtime.cores() == expected


def test_a_cache_is_of_one_cpu_and_one_jaxlib(monkeypatch, tmp_path):
    def target(cpu, version):
        (tmp_path / "cpuinfo").write_text(
            f"processor : 0\nmodel name : {cpu}\nflags : avx\ncpu MHz : {os.urandom(2)}\n"
        )
        monkeypatch.setattr(runtime, "CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.setattr(jaxlib.version, "__version__", version)
        return runtime._target()

    assert target("A", "1") == target("A", "1")
    assert len({target("A", "1"), target("B", "1"), target("A", "2")}) == 3


def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(runtime, "LEVEL", "xla_backend_optimization_level")
    assert runtime.compiler_options(1, "cpu") == {"xla_backend_optimization_level": 1}
    monkeypatch.setattr(runtime, "LEVEL", "xla_no_such_option")
    assert runtime.compiler_options(1, "cpu") == {}
    assert runtime.compiler_options(1, "gpu") == {"xla_gpu_deterministic_ops": True}
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=false")
    assert runtime.compiler_options(1, "gpu") == {} == runtime.compiler_options(1, "tpu")
