"""The locks of a work directory: one writer, or shards beside each other."""

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from scaledis.core import UserError
from scaledis.sweeps.shards import Shard


@contextlib.contextmanager
def lock(root: Path, name: str, shard: Shard, kind: int, wait: bool = False) -> Iterator[None]:
    """Holds the lock `name` of the directory `root` for this process; `kind` is fcntl.LOCK_EX or LOCK_SH.

    Raises UserError if the directory cannot be written or has no locks, and if another process holds the lock, unless
    `wait` is True.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = open(root / name, "a+b", buffering=0)  # unbuffered: closing it writes nothing
    except OSError as error:
        raise UserError(f"workdir: {root} cannot be written: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().decode(errors="replace").strip()
            raise UserError(f"workdir: {root} is in use by {holder}.") from None
        except OSError as error:
            reason = f"is on a file system without locks ({error.strerror})"
            raise UserError(f"workdir: {root} {reason}; put it on another, or mount this one with locks.") from error
        holder = f"process {os.getpid()} on {platform.node()}{'' if shard.whole else f', shard {shard}'}\n"
        try:
            file.truncate(0)
            file.write(holder.encode())
        except OSError as error:
            raise UserError(f"workdir: {root} cannot be written: {error.strerror}.") from error
        yield
