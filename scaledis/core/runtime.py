"""The process: settings that take effect before JAX computes, the machine, and the signals that ask it to stop."""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform as system
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jaxlib.version

from scaledis.core import UserError, version

LEVEL, DETERMINISTIC = "xla_backend_optimization_level", "xla_gpu_deterministic_ops"
DEVICES_FLAG = "--xla_force_host_platform_device_count"
KEYS = "threefry2x32"  # the implementation of every random key, whatever jax_default_prng_impl is
SETTINGS = ("jax_random_seed_offset", "jax_disable_jit")  # of JAX, which are left to the user
CGROUP, CPUINFO = Path("/sys/fs/cgroup"), Path("/proc/cpuinfo")
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8  # malloc.h of glibc


def prepare_jax() -> None:
    """Makes JAX fast on this machine. Call it once, before the first computation; settings of the user are kept.

    - JAX gets one device per core: each trains its own runs of a population, which beats one model on all cores.
    - glibc's allocator keeps freed memory. XLA allocates a step's buffer (~100 MB) again for each call, from a thread
      whose arena would give it back to the system: ~30,000 page faults, as slow as the step itself.
    - Compiled programs are cached on disk, in $JAX_COMPILATION_CACHE_DIR, by default below ~/.cache/scaledis/xla, so
      that the same runs start at once the next time.

    The command line does all this by itself. Raises UserError if JAX has computed already.

    >>> prepare_jax()
    """
    if DEVICES_FLAG not in os.environ.get("XLA_FLAGS", "") and _setting("jax_num_cpu_devices") < 1:
        try:
            jax.config.update("jax_num_cpu_devices", cores())
        except RuntimeError:
            remedy = "call it before any other function, in a notebook after a restart"
            raise UserError(f"prepare_jax: JAX has computed already, on one device for all cores; {remedy}.") from None
    _keep_freed_memory()
    if _setting("jax_compilation_cache_dir") is None:
        jax.config.update("jax_compilation_cache_dir", cache_directory())


def _setting(name: str) -> Any:
    """Returns a setting of JAX; None in a version that lacks it."""
    return getattr(jax.config, name, None)


_first_process = functools.cache(os.getpid)  # the one that computed first: a fork inherits the answer, but no threads


def check_process(what: str) -> None:
    """Raises UserError in a fork of a process that has computed: there JAX would wait forever."""
    if _first_process() != os.getpid():
        reason = "this process was forked from one that computes with JAX, whose threads do not survive a fork"
        remedy = "multiprocessing.get_context('spawn'), DataLoader(multiprocessing_context='spawn')"
        raise UserError(f"{what}: {reason}; start it by spawn ({remedy}), or encode in the parent")


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Fixes, in this thread, the settings of JAX on which the types and the random numbers of a run depend.

    Types have 32 bits, products the precision of float32, keys split as `KEYS` does by default, and arrays are
    promoted.
    """
    with (
        jax.enable_x64(False),
        jax.default_matmul_precision("highest"),
        jax.threefry_partitionable(True),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
    ):
        yield


def conditions() -> dict[str, object]:
    """Returns what the last digits of a run depend on besides its config: machine, versions, settings, XLA's flags.

    The versions are those of JAX, of jaxlib and of this package, with its commit.
    """
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.startswith(DEVICES_FLAG)]
    versions = {"jax": jax.__version__, "jaxlib": jaxlib.version.__version__, "XLA_FLAGS": " ".join(sorted(flags))}
    return {"device": machine(), **versions, **version.here(), **{name: _setting(name) for name in SETTINGS}}


def cache_directory() -> str | None:
    """Returns the directory of compiled programs for this CPU and jaxlib, since machines may share a home directory.

    Returns None, and nothing is cached, if there is no home directory or it cannot be written.
    """
    try:
        cache = Path.home() / ".cache" / "scaledis" / "xla" / _target()
        cache.mkdir(parents=True, exist_ok=True)
    except (RuntimeError, OSError):
        return None
    return str(cache)


def cores() -> int:
    """Returns how many CPU cores this process may use: those of its affinity, at most a container's quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, _quota(CGROUP)))


def _quota(cgroup: Path) -> int:
    """Returns how many CPUs the control group grants, rounded up; a large number if it sets no limit."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        limit, period = (cgroup / "cpu.max").read_text().split()[:2]  # version 2
        return -(-int(limit) // int(period))
    with contextlib.suppress(OSError, ValueError):
        quota, length = (int((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        if quota > 0:
            return -(-quota // length)
    return 1 << 16


def _target() -> str:
    """Returns a folder name made of what compiled programs depend on: jaxlib and the CPU with its features."""
    with contextlib.suppress(OSError):
        lines = CPUINFO.read_text().splitlines()
        described = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
        digest = hashlib.blake2b("\n".join(described).encode(), digest_size=4).hexdigest()
        return f"jaxlib-{jaxlib.version.__version__}-{digest}"
    return f"jaxlib-{jaxlib.version.__version__}-{system.machine()}"


def never() -> bool:
    """Returns False: a `stop` callback that never asks to stop."""
    return False


@contextlib.contextmanager
def stopping(limit: float | None = None) -> Iterator[Callable[[], bool]]:
    """Yields `stop`, which is True from the first signal that asks to end, or after `limit` seconds.

    The signals are SIGINT and, unless the program handles them, SIGTERM, SIGUSR1, SIGUSR2 and SIGHUP, which schedulers
    send before they kill. A second signal ends the process as usual. A signal that the process ignores, such as SIGHUP
    under nohup, stays ignored. Only the main thread hears signals; in another thread no handler changes.
    """
    asked = threading.Event()
    previous: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        for each, handler in previous.items():
            signal.signal(each, handler)
        print("\nStopping once the work at hand is saved; once more to stop at once.", file=sys.stderr)

    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP"):
            if hasattr(signal, name):
                number = getattr(signal, name)
                handler = signal.getsignal(number)
                if handler is signal.SIG_DFL or (number == signal.SIGINT and handler is not signal.SIG_IGN):
                    previous[number] = signal.signal(number, ask)
    timer = threading.Timer(limit or 0, asked.set)
    timer.daemon = True
    if limit is not None:
        timer.start()
    try:
        yield asked.is_set
    finally:
        timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


def machine() -> str:
    """Returns the machine in words, with its accelerators if it has any: "AMD EPYC, 2 cores"."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    parts = [(models or [system.processor() or system.machine()])[0], f"{cores()} cores"]
    if platform() != "cpu":
        parts.append(f"{jax.device_count()} {jax.devices()[0].device_kind}")
    return ", ".join(parts)


def device_memory() -> int | None:
    """Returns how many bytes a device can hold; None for a CPU, whose memory the system shares out."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return None if platform() == "cpu" else stats.get("bytes_limit")


def _keep_freed_memory() -> None:
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # not glibc
    mallopt(M_ARENA_MAX, 1)  # all threads use the main heap: the others cannot hold such a buffer
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(M_TOP_PAD, 256 << 20)


def platform(devices: Iterable[jax.Device] = ()) -> str:
    """Returns "cpu", "gpu" or "tpu": the platform of the devices, by default of those that JAX computes on."""
    name = next((device.platform for device in devices), None) or jax.default_backend()
    return "gpu" if name in ("cuda", "rocm") else name


def compiler_options(level: int, platform: str) -> dict[str, int | bool]:
    """Options of XLA for a program of a platform.

    An option that XLA_FLAGS sets, or that this XLA does not know, is left out.

    On a CPU they set the effort of the code generator, 0 to 3: at 1 a training step is as fast as at 3 and compiles in
    two thirds of the time; at 0 a program that runs only once, such as drawing the parameters, compiles in a fifth. On
    a GPU they make operations deterministic, so that a resumed run ends bit for bit where an uninterrupted run does.
    """
    by_platform: dict[str, dict[str, int | bool]] = {"cpu": {LEVEL: level}, "gpu": {DETERMINISTIC: True}}
    options = by_platform.get(platform, {})
    flags = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if f"--{name}" not in flags and _compiles(name, value)}


@functools.cache
def _compiles(name: str, value: int | bool) -> bool:
    """Returns whether the installed XLA knows the option; an unknown one fails when a program compiles."""
    try:
        jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
