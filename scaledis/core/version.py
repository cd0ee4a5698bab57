"""The version of the package and, in a checkout, the commit that it runs from."""

import functools
import subprocess
from pathlib import Path

VERSION = "0.4.0"
RESUMES = (0, 4)  # the oldest version whose runs go on: the steps of older ones draw other random numbers
TABLES = "experiments/results"  # of experiments, which write their tables one after the other


@functools.cache
def commit() -> str:
    """Returns the commit of the checkout, with "+" if any file but a table has changed; "" outside of a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{TABLES}")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except OSError:
        return ""


def resumes(version: str) -> bool:
    """Returns whether a run of `version` can be resumed in this version, and end with the numbers of its own."""
    return tuple(int(part) for part in version.split(".")[:2]) >= RESUMES


def here() -> dict[str, str]:
    """Returns the version and the commit of this process, as its files record them."""
    return {"version": VERSION, "commit": commit()}
