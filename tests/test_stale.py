"""experiments/stale.py on a repository of its own."""

import subprocess

import pytest

from experiments import stale
from scaledis.core import version


@pytest.fixture
def made(tmp_path):
    """The commit of a repository of three files."""

    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    for name in ("scaledis/methods/base/optimizer.py", "README.md", f"{version.TABLES}/table1.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    return git("rev-parse", "--short", "HEAD")


def test_a_result_is_older_than_what_has_changed_since_its_commit(made, tmp_path):
    (tmp_path / "README.md").write_text("two")
    assert stale.changed(made, tmp_path) == [] == stale.changed(made + "+", tmp_path)
    (tmp_path / "scaledis/methods/base/optimizer.py").write_text("two")
    assert stale.changed(made, tmp_path) == ["scaledis/methods/base/optimizer.py"]
    assert stale.changed("0123abc", tmp_path) is None


def test_a_table_that_was_written_does_not_change_the_commit_of_the_next(made, tmp_path, monkeypatch):
    monkeypatch.setattr(version, "__file__", str(tmp_path / "scaledis/core/version.py"))
    (tmp_path / version.TABLES / "table1.md").write_text("two")
    assert version.commit.__wrapped__() == made
    (tmp_path / "README.md").write_text("two")
    assert version.commit.__wrapped__() == made + "+"


def test_every_commit_that_a_result_names_is_found():
    result = {"a": {"commit": "1"}, "runs": [{"commit": "2+", "x": [{"commit": ""}]}], "commit": "3, 4"}
    assert sorted(stale.commits(result)) == ["1", "2+", "3", "4"]


def test_what_makes_the_numbers_is_there():
    assert all((stale.ROOT / path).exists() for path in stale.MAKERS)
