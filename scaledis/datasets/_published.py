"""Published files: what each must be, fetched to its place, checked and opened."""

import contextlib
import dataclasses
import hashlib
import http.client
import shlex
import shutil
import ssl
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scaledis.errors import UserError

WAITS = (1, 5, 15)  # seconds before each further try of a download
TIMEOUT = 30  # seconds without a byte
NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
ROWS = 20_000  # of an HDF5 array, read at once: 0.25 GB of 64x64x3


@dataclasses.dataclass(frozen=True)
class File:
    """A published file.

    Attributes:
      name: that it must have in its place.
      url: where it is published.
      size: in bytes; None where it is not known.
      digest: its checksum in hex, by `algorithm`.
      fetchable: False where `url` is a page for people, not the file.
    """

    name: str
    url: str
    size: int | None
    digest: str
    algorithm: str = "sha256"
    fetchable: bool = True


def mismatch(file: str | Path, what: str, found: object, expected: object) -> UserError:
    """The error for a file that does not hold what it must."""
    return UserError(f"{file}: {what} is {found}, expected {expected}.")


def absent(name: str, places: dict[Path, File]) -> UserError:
    """The error for a data set some of whose files are not in their places: says how each comes there."""
    fetchable = all(file.fetchable for file in places.values())
    ways = f"fetch them with --prepare={name}, or place them" if fetchable else "place them"
    lines = [f"{name} needs files that are not there; {ways}:"]
    for path, file in places.items():
        size = "" if file.size is None else f"{file.size:,} bytes, "
        command = f"curl -fL --create-dirs -o {shlex.quote(str(path))} {shlex.quote(file.url)}"
        how = command if file.fetchable else f"by hand, from {file.url}"
        lines.append(f"  {path} ({size}{file.algorithm} {file.digest}): {how}")
    return UserError("\n".join(lines))


def verify(file: File, path: Path) -> None:
    """Raises UserError if the file at `path` is not the published one."""
    if file.size is not None and path.stat().st_size != file.size:
        raise mismatch(path, "size in bytes", path.stat().st_size, file.size)
    with open(path, "rb") as content:
        digest = hashlib.file_digest(content, file.algorithm).hexdigest()
    if digest != file.digest:
        raise mismatch(path, file.algorithm, digest, file.digest)


def fetch(file: File, path: Path) -> None:
    """Fetches the file to `path`, whole and verified or not at all.

    What has come of it lies in `path`.partial, and another call goes on from there.

    Raises:
      UserError: the network failed (what has come is kept), or the disk did (it is deleted).
      UserError: what came is not the published file (it is deleted).
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _receive(file, partial)
        verify(file, partial)
        partial.rename(path)
    except NETWORK_ERRORS as error:
        raise UserError(
            f"{file.url} could not be fetched to {path}, another try goes on from there: {error}"
        ) from error
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, ValueError):
            raise UserError(f"{file.url} was fetched and deleted, it is not what was published: {error}") from error
        raise UserError(f"{file.url} could not be written to {path}: {error}") from error


def _receive(file: File, partial: Path) -> None:
    """Completes `partial`, in several tries if the network fails."""
    for wait in (*WAITS, None):
        try:
            return _append(file, partial)
        except NETWORK_ERRORS as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500  # another try gets the same
            if wait is None or refused:
                raise
            time.sleep(wait)


def _append(file: File, partial: Path) -> None:
    """Asks for the bytes that `partial` lacks; takes all of them where the server does not count bytes."""
    start = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # there are no more bytes: the checksum decides
        raise
    with response:
        start = start if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers["Content-Length"]
        total = start + int(length) if length else file.size
        bar = {"desc": f"fetching {file.name}", "initial": start, "total": total, "disable": None}
        with open(partial, "ab" if start else "wb") as target, tqdm.wrapattr(response, "read", **bar) as body:
            shutil.copyfileobj(body, target, length=1 << 20)
            received = target.tell()
    if length and received < total:  # http.client takes a closed connection for the end
        raise ConnectionError(f"the connection ended after {received:,} of {total:,} bytes")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the readers of archives raise for damaged content into a UserError that names the file."""
    try:
        yield
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


@contextlib.contextmanager
def hdf5(path: Path, expected: dict[str, tuple[type[np.generic], tuple[int, ...]]]) -> Iterator[Any]:
    """An open HDF5 file that holds the arrays {key: (kind, shape)}. Raises UserError for one that does not."""
    import h5py  # a prepared set opens without it

    with reading(path), h5py.File(path) as file:
        for key, (kind, shape) in expected.items():
            if key not in file:
                raise mismatch(path, "list of keys", sorted(file), sorted(expected))
            if not np.issubdtype(file[key].dtype, kind) or file[key].shape != shape:
                raise mismatch(path, key, f"{file[key].dtype} {file[key].shape}", f"{kind.__name__} {shape}")
        yield file


def blocks(array: Any) -> Iterator[slice]:
    """The rows of an HDF5 array in blocks of whole chunks, so that no chunk is inflated twice."""
    chunk = array.chunks[0] if array.chunks else 1
    rows = chunk * max(1, ROWS // chunk)
    return (slice(start, start + rows) for start in range(0, len(array), rows))
