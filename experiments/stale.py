"""Which tables are older than the code that made them.

    python -m experiments.stale

A result under experiments/results names the commit that it was made with, or was committed together with its code. For
each, this lists the files that make its numbers and that have changed since. A change need not move a number; whoever
knows that it does reruns the table. Exits with 1 where a result names a commit that is not in this repository.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments/results"
SHOWN = 4  # files of a result that are listed
MAKERS = (
    *("scaledis/methods", "scaledis/objectives", "scaledis/networks", "scaledis/datasets/base"),
    *("scaledis/training/population.py", "scaledis/training/model.py", "scaledis/training/steps.py"),
    "scaledis/training/evaluate.py",
    *("scaledis/datasets/rendered.py", "scaledis/datasets/rendered_dsprites.py"),
    *("scaledis/metrics/dci.py", "scaledis/metrics/mig.py", "scaledis/metrics/level.py", "scaledis/metrics/shared"),
    "scaledis/metrics/of_models",
    *("scaledis/sweeps/tiers.py", "configs/quickstart.py"),
)


def commits(value: Any) -> Iterator[str]:
    """Every commit that a result names, wherever in it."""
    if isinstance(value, dict):
        yield from (commit for key, found in value.items() if key == "commit" and found for commit in found.split(", "))
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from commits(each)


def git(*arguments: str, root: Path = ROOT) -> str | None:
    """What git prints; None where it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def changed(commit: str, root: Path = ROOT) -> list[str] | None:
    """The files among MAKERS that differ from those at `commit`; None for a commit that is not known."""
    found = git("diff", "--name-only", commit.removesuffix("+"), "--", *MAKERS, root=root)
    return None if found is None else found.split()


def main() -> None:
    unknown = False
    for path in sorted(RESULTS.rglob("*.json")):
        named = sorted(set(commits(json.loads(path.read_text()))))
        for commit in named or [git("log", "-1", "--format=%h", "--", str(path)) or "HEAD"]:
            files = changed(commit)
            unknown |= files is None
            if files is None:
                since = "which is not in this repository"
            else:
                more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
                since = f"changed since: {', '.join(files[:SHOWN]) + more or 'nothing'}"
            print(f"{path.relative_to(RESULTS)}, commit {commit}; {since}")
    sys.exit(unknown)


if __name__ == "__main__":
    main()
