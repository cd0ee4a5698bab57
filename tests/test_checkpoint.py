"""Checkpoints: what was written comes back, and whatever was not is noticed."""

import errno
import json
import random
import resource
import shutil
import sys
import time

import jax
import numpy as np
import pytest

from scaledis.core import version
from scaledis.core.errors import UserError
from scaledis.workdir import checkpoint
from scaledis.workdir.checkpoint import Checkpoints, Damaged, OtherStructure
from tests import tiny

DATASET = tiny.dataset()
FLIPS = 200


@pytest.fixture(scope="module")
def population():
    return tiny.population([tiny.config(seed=seed, method__name="vlae") for seed in (0, 1)], DATASET)


@pytest.fixture(scope="module")
def written(population, tmp_path_factory):
    """Two checkpoints, of step 2 and 4, and their states on the host."""
    checkpoints, states = Checkpoints(tmp_path_factory.mktemp("checkpoints")), population.init()
    advance, found = population.make_advance(DATASET), {}
    for step in (2, 4):
        states, _ = advance(states, 2)
        checkpoints.save(step, states, {"runs": ["a", "b"]})
        found[step] = jax.device_get(states)
    return checkpoints, found


@pytest.fixture
def copy(written, tmp_path):
    shutil.copytree(written[0]._directory, tmp_path / "copy")
    return tmp_path / "copy"


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_what_was_written_comes_back_where_it_was(population, written):
    checkpoints, states = written
    assert checkpoints.steps == [2, 4] and checkpoints.newest == 4
    for step in (2, 4):
        restored = checkpoints.restore(population.shapes, step)
        assert same(jax.device_get(restored), states[step])
        assert {leaf.sharding for leaf in jax.tree.leaves(restored)} == {population.program.by_run}
    assert not same(states[2], states[4])
    assert checkpoints.restore_newest(population.shapes)[0] == 4
    assert checkpoints.restore_newest(population.shapes, last=3)[0] == 2
    assert checkpoints.restore_newest(population.shapes, last=1) is None


def test_the_manifest_says_what_wrote_it_and_what_is_in_it(written):
    manifest = written[0].manifest(4)
    assert manifest["version"] == version.VERSION and manifest["step"] == 4 and manifest["runs"] == ["a", "b"]
    assert manifest["structure"]["step"] == "int32[2]" and len(manifest["structure"]) > 20
    assert len(manifest["files"]) > 3


def test_reading_changes_nothing(population, copy):
    before = tiny.tree(copy)
    Checkpoints(copy).restore_newest(population.shapes)
    assert tiny.tree(copy) == before


def test_every_single_flipped_bit_is_noticed_and_the_checkpoint_before_is_used(population, written, copy, capsys):
    """Over all files of a checkpoint, as many flips in small files as in large ones."""
    rng, checkpoints = random.Random(0), Checkpoints(copy)
    files = [path for path in sorted((copy / "4").rglob("*")) if path.is_file() and path.stat().st_size]
    assert len(files) > 5
    for number in range(FLIPS):
        path = files[number % len(files)]
        content = path.read_bytes()
        place, bit = rng.randrange(len(content)), rng.randrange(8)
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        with pytest.raises(Damaged):
            checkpoints.restore(population.shapes, 4)
        path.write_bytes(content)
    path.write_bytes(content[:-1])
    step, restored = checkpoints.restore_newest(population.shapes)
    assert step == 2 and same(jax.device_get(restored), written[1][2])
    assert "The checkpoint of step 4" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["gone", "new", "renamed", "no manifest", "empty manifest", "empty folder"])
def test_a_file_that_is_missing_or_new_is_noticed(population, copy, what):
    path = next(path for path in sorted((copy / "4" / "state").rglob("*")) if path.is_file())
    if what == "gone":
        path.unlink()
    if what == "new":
        path.with_name("another").write_text("")
    if what == "renamed":
        path.rename(path.with_name("another"))
    if what == "no manifest":
        (copy / "4" / "manifest.json").unlink()
    if what == "empty manifest":
        (copy / "4" / "manifest.json").write_text("")
    if what == "empty folder":
        shutil.rmtree(copy / "4")
        (copy / "4").mkdir()
    with pytest.raises(Damaged):
        Checkpoints(copy).restore(population.shapes, 4)
    assert Checkpoints(copy).restore_newest(population.shapes)[0] == 2


def test_a_checkpoint_that_a_trainer_deletes_while_it_is_read_is_no_damage(population, copy, monkeypatch, capsys):
    known = checkpoint.checksums

    def slow(folder):
        if folder.name == "4":
            folder.rename(folder.with_name("6"))
            raise FileNotFoundError(errno.ENOENT, "No such file", str(folder))
        return known(folder)

    monkeypatch.setattr(checkpoint, "checksums", slow)
    assert Checkpoints(copy).restore_newest(population.shapes)[0] == 6
    assert not capsys.readouterr().err


def test_the_seal_covers_every_entry_of_the_manifest(population, copy):
    path = copy / "4" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text("[" * 100_000)
    with pytest.raises(Damaged):
        Checkpoints(copy).manifest(4)
    for key in manifest:
        path.write_text(json.dumps(manifest | {key: "other"}))
        with pytest.raises(Damaged):
            Checkpoints(copy).manifest(4)


def test_another_structure_is_no_damage(written, copy):
    other = tiny.population([tiny.config(seed=0, method__name="vlae")], DATASET)
    with pytest.raises(OtherStructure, match=r"arrays differ, such as .* is \w+\[2.*\] there and \w+\[1.*\] here"):
        Checkpoints(copy).restore_newest(other.shapes)


def test_only_damaged_checkpoints_are_set_aside_and_what_was_left_half_written_goes(population, written, copy):
    checkpoints = Checkpoints(copy, keep=2)
    (copy / "6.partial" / "state").mkdir(parents=True)  # of a process that was killed
    assert checkpoints.steps == [2, 4]
    checkpoints.set_aside(beyond=2)
    assert sorted(path.name for path in copy.iterdir()) == ["2", "6.partial", "damaged-4"]
    for step in (4, 6):
        checkpoints.save(step, written[1][4], {})
    assert sorted(path.name for path in copy.iterdir()) == ["4", "6", "damaged-4"]


def test_a_write_that_fails_in_many_threads_is_said_once(copy, monkeypatch, capfd):
    """As on a full disk: each of the arrays fails, some after the error is raised."""
    limit, said = resource.getrlimit(resource.RLIMIT_FSIZE), []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    leaves = {f"leaf{n}": np.random.default_rng(n).random(2000) for n in range(8)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(
            UserError, match=r"step 6 could not be written to \S+: File too large\. The last good one is"
        ):
            Checkpoints(copy).save(6, leaves, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    time.sleep(0.1)
    assert capfd.readouterr().err == "" and not said
    Checkpoints(copy).save(6, leaves, {})
    assert Checkpoints(copy).steps == [2, 4, 6]


def test_a_state_that_cannot_be_written_is_a_bug_and_no_full_disk(copy):
    with pytest.raises(AttributeError):
        Checkpoints(copy).save(6, {"leaf": "text"}, {})
    (copy / "8.partial").write_text("")  # a file in the way
    with pytest.raises(UserError, match="The checkpoint of step 8 could not be written .* last good one is .* step 4"):
        Checkpoints(copy).save(8, {"leaf": np.zeros(2)}, {})
