"""What every published set shares: fetching that goes on where it stopped, and a disk that cannot be written."""

import dataclasses
import errno
import hashlib
import http.server
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from scaledis.core.errors import UserError
from scaledis.datasets import Options
from scaledis.datasets._builders import disk, download, prepare

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SOURCE = prepare.Source(
    name="small",
    version="1.0.0",
    files=(download.File("small.bin", "file:///nowhere", None, hashlib.md5(CONTENT).hexdigest(), "md5"),),
    factor_names=("a", "b"),
    factor_values=(np.arange(4), np.arange(5)),
    image_shape=(8, 8, 1),
)


def read(source, paths):
    """20 images, a byte of the file in each."""
    data = np.frombuffer(paths[0].read_bytes()[:20], np.uint8)
    yield np.broadcast_to(data[:, None, None, None], (20, 8, 8, 1)), source.grid(np.arange(20))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers["Range"]
        server.asked.append(asked)
        if server.status != 200:
            return self.send_error(server.status)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.counts else 0
        if start >= len(CONTENT):
            return self.send_error(416)
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.limit])  # a connection that ends early, if this is less

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """Serves CONTENT at server.url; `asked`: the ranges, `counts`: understands them, `limit`: bytes per connection."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "WAITS", (0, 0))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}/small.bin"
        server.asked, server.counts, server.limit, server.status = [], True, len(CONTENT), 200
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def file(server):
    return dataclasses.replace(SOURCE.files[0], url=server.url)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "manual").mkdir()
    return tmp_path / "manual" / "small.bin"


def partial(path: Path, data: bytes) -> None:
    path.with_name("small.bin.partial").write_bytes(data)


def names(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir()]


def test_a_file_whole(server, file, path):
    download.fetch(file, path)
    assert (path.read_bytes(), names(path), server.asked) == (CONTENT, ["small.bin"], [None])


def test_a_stopped_download_goes_on_from_its_part(server, file, path):
    partial(path, CONTENT[:1234])
    download.fetch(file, path)
    assert (path.read_bytes(), names(path), server.asked) == (CONTENT, ["small.bin"], ["bytes=1234-"])


def test_a_part_that_is_the_whole(server, file, path):
    partial(path, CONTENT)
    download.fetch(file, path)
    assert (path.read_bytes(), server.asked) == (CONTENT, [f"bytes={len(CONTENT)}-"])


def test_a_server_that_ignores_the_range(server, file, path):
    server.counts = False
    partial(path, CONTENT[:1234])
    download.fetch(file, path)
    assert path.read_bytes() == CONTENT


def test_connections_that_end_early(server, file, path):
    server.limit = 1_200_000
    download.fetch(file, path)
    assert (path.read_bytes(), server.asked) == (CONTENT, [None, "bytes=1200000-", "bytes=2400000-"])


def test_too_many_connections_that_end_early(server, file, path):
    server.limit = 500_000
    with pytest.raises(UserError, match=r"small.bin could not be fetched .* 1,500,000 of 3,000,000 bytes"):
        download.fetch(file, path)
    assert names(path) == ["small.bin.partial"]
    download.fetch(file, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (503, 3)])
def test_a_server_that_has_no_file(server, file, path, status, tries):
    server.status = status
    with pytest.raises(UserError, match=f"{server.url} could not be fetched to {path}.*{status}"):
        download.fetch(file, path)
    assert len(server.asked) == tries and names(path) == []


def test_a_part_of_another_file_is_kept_and_its_checksum_said(server, file, path, tmp_path):
    partial(path, b"another file")
    source = dataclasses.replace(SOURCE, files=(file,))
    with pytest.raises(UserError, match=f"small.bin: md5 is .*, expected {file.digest}. Delete the file to fetch it"):
        prepare.load(source, read, tmp_path, Options(download=True))
    assert names(path) == ["small.bin"] and path.read_bytes() == b"another file" + CONTENT[12:]


def test_a_full_disk_while_fetching(file, path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "shown", full)
    with pytest.raises(UserError, match=f"could not be written to {path}: .*No space left"):
        download.fetch(file, path)
    assert names(path) == []


def test_a_set_is_fetched_and_prepared(server, file, tmp_path):
    source = dataclasses.replace(SOURCE, files=(file,))
    data = prepare.load(source, read, tmp_path, Options(download=True))
    np.testing.assert_array_equal(data.images([3, 17])[:, 0, 0, 0], [CONTENT[3], CONTENT[17]])
    assert prepare.load(source, None, tmp_path, Options(download=True)).size == 20 and len(server.asked) == 1


@pytest.mark.parametrize("name", ["small", "manual"])
def test_a_directory_that_cannot_be_written(server, file, tmp_path, name):
    (tmp_path / name).write_text("a file where a folder should be")
    source = dataclasses.replace(SOURCE, files=(file,))
    with pytest.raises(UserError, match=f"{tmp_path}/{name}.*File exists"):
        prepare.load(source, read, tmp_path, Options(download=True))
    assert not (tmp_path / "small" / "1.0.0").exists()


def test_a_disk_that_fills_while_preparing(path, tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    path.write_bytes(CONTENT)
    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(UserError, match="small could not be prepared in .*No space left"):
        prepare.load(SOURCE, read, tmp_path, Options())
    assert [entry.name for entry in (tmp_path / "small").iterdir()] == [".lock"]


def test_records_are_written_as_they_come(path, tmp_path, monkeypatch):
    from tensorflow_datasets.core import shuffle

    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 100)  # bytes that a TFDS builder gathers without TensorFlow
    path.write_bytes(CONTENT)
    assert prepare.load(SOURCE, read, tmp_path, Options()).size == 20


def test_a_table_whose_factors_are_out_of_range(path, tmp_path):
    path.write_bytes(CONTENT)
    source = dataclasses.replace(SOURCE, count=20)

    def read_other(source, paths):
        for images, factors in read(source, paths):
            yield images, factors + np.int32([0, 1])

    with pytest.raises(ValueError, match=r"factor index of image 4 is \[0 5\], expected \[0 4\]"):
        prepare.load(source, read_other, tmp_path, Options())


def test_sizes_and_checksums_that_are_known_are_checked(path):
    path.write_bytes(CONTENT)
    file = SOURCE.files[0]
    assert download.verify(file, path) == file.digest
    with pytest.raises(ValueError, match="small.bin: size in bytes is 3,000,000, expected 3."):
        download.verify(dataclasses.replace(file, size=3, digest="0" * 64), path)
    with pytest.raises(ValueError, match=f"small.bin: sha256 is .*, expected {'0' * 64}."):
        download.verify(dataclasses.replace(file, digest="0" * 64, algorithm="sha256"), path)


def test_a_file_system_without_locks_is_said(path, tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    path.write_bytes(CONTENT)
    monkeypatch.setattr(disk.fcntl, "flock", refuse)
    assert prepare.load(SOURCE, read, tmp_path, Options()).size == 20
    assert f"{tmp_path}/small cannot be locked ([Errno 37] No locks available)" in capsys.readouterr().err
