"""Published files: their specification, download and check."""

import contextlib
import dataclasses
import functools
import hashlib
import http.client
import shlex
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from scaledis.core import UserError
from scaledis.core.progress import shown
from scaledis.datasets._builders.archives import mismatch

WAITS = (1, 5, 15)  # seconds before each further try of a download
TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 20  # bytes
NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


@dataclasses.dataclass(frozen=True)
class File:
    """A published file.

    Attributes:
      name: the name that it must have in its place.
      url: the address of the file, or of a page about it.
      size: in bytes; None if it is unknown.
      digest: its checksum in hex, by `algorithm`; empty where none was published.
      fetchable: False if `url` is a page for people.
    """

    name: str
    url: str
    size: int | None
    digest: str
    algorithm: str = "sha256"
    fetchable: bool = True


def absent(name: str, places: dict[Path, File], other_way: str) -> UserError:
    """The error for a data set that lacks files: it says how to get each, and the other way, if there is one."""
    fetchable = all(file.fetchable for file in places.values())
    ways = f"fetch them with `scaledis prepare {name}`, or place them" if fetchable else "place them"
    lines = [f"{name} needs files that are not there; {ways}:"]
    for path, file in places.items():
        size = "" if file.size is None else f"{file.size:,} bytes, "
        command = f"curl -fL --create-dirs -o {shlex.quote(str(path))} {shlex.quote(file.url)}"
        how = command if file.fetchable else f"by hand, from {file.url}"
        checksum = f"{file.algorithm} {file.digest}" if file.digest else "no published checksum"
        lines.append(f"  {path} ({size}{checksum}): {how}")
    return UserError("\n".join([*lines, *([f"  {other_way}"] if other_way else [])]))


def verify(file: File, path: Path, accept: bool = False) -> str:
    """The checksum of the file at `path`. Raises UserError if it is not the published one, unless told to accept it.

    Where none was published, it is printed.
    """
    with open(path, "rb") as content:
        digest = hashlib.file_digest(content, file.algorithm).hexdigest()
    if not file.digest:
        print(f"{path} has the {file.algorithm} {digest}; its authors published none.", file=sys.stderr)
    elif digest != file.digest:
        size = path.stat().st_size
        if file.size not in (None, size):
            error = mismatch(path, "size in bytes", f"{size:,}", f"{file.size:,}")
        else:
            error = mismatch(path, file.algorithm, digest, file.digest)
        if not accept:
            raise UserError(f"{error} Delete the file to fetch it anew, or use it as it is: data.accept_checksum=True.")
        print(f"{error} It is used as it is (data.accept_checksum).", file=sys.stderr)
    return digest


def fetch(file: File, path: Path) -> None:
    """Fetches the file to `path`, whole or not at all; `verify` checks the content.

    An unfinished download stays in `path`.partial, and another call continues it.

    Raises UserError if the network fails (the partial file is kept), or the disk (it is deleted).
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _receive(file, partial)
        partial.rename(path)
    except NETWORK_ERRORS as error:
        reason = f"could not be fetched to {path}, another try goes on from there: {error}"
        raise UserError(f"{file.url} {reason}") from error
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
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
        blocks = iter(functools.partial(response.read, BLOCK), b"")
        with open(partial, "ab" if start else "wb") as target:
            for block in shown(blocks, f"fetching {file.name}", total, start=start, size=len):
                target.write(block)
            received = target.tell()
    if length and received < start + int(length):  # http.client takes a closed connection for the end
        raise ConnectionError(f"the connection ended after {received:,} of {start + int(length):,} bytes")
