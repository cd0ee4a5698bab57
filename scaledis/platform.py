"""Settings of the process that only take effect before JAX starts."""

import ctypes
import os
import platform
from pathlib import Path

import jax

LEVEL_FLAG = "--xla_backend_optimization_level"
DEVICES_FLAG = "--xla_force_host_platform_device_count"
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8  # malloc.h of glibc


def prepare() -> None:
    """Make JAX fast on this machine. Call once, before the first computation; what the user has set is kept.

    - One host device per core: each trains its own members of a population, which beats one model on all cores.
    - glibc's allocator keeps freed memory. XLA allocates a step's buffer (~100 MB) anew for each call, from a thread
      whose arena would give it back to the system: ~30,000 page faults, as slow as the step itself.
    - Compiled programs are cached on disk, in $JAX_COMPILATION_CACHE_DIR, by default ~/.cache/scaledis/xla: a second
      run of the same command starts at once.
    """
    _keep_freed_memory()
    flags = os.environ.get("XLA_FLAGS", "")
    if DEVICES_FLAG not in flags and "JAX_NUM_CPU_DEVICES" not in os.environ:
        os.environ["XLA_FLAGS"] = f"{flags} {DEVICES_FLAG}={cores()}".strip()
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "scaledis" / "xla"))


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def machine() -> str:
    """What results were made on, in words: "AMD EPYC, 2 cores"; with the accelerators, if there are any."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    parts = [(models or [platform.processor() or platform.machine()])[0], f"{cores()} cores"]
    if jax.default_backend() != "cpu":
        parts.append(f"{jax.device_count()} {jax.devices()[0].device_kind}")
    return ", ".join(parts)


def _keep_freed_memory() -> None:
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # not glibc
    mallopt(M_ARENA_MAX, 1)  # all threads use the main heap: the others cannot hold such a buffer
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(M_TOP_PAD, 256 << 20)


def compiler_options(level: int) -> dict[str, int]:
    """Effort of the CPU's code generator, 0 to 3, unless XLA_FLAGS sets it.

    At 1 a training step is as fast as at 3 and compiles in two thirds of the time; at 0 what runs only once, such as
    drawing the parameters, compiles in a fifth.
    """
    set_by_user = LEVEL_FLAG in os.environ.get("XLA_FLAGS", "")
    return {} if set_by_user or jax.default_backend() != "cpu" else {LEVEL_FLAG.removeprefix("--"): level}
