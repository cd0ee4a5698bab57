"""The README's scores are those of experiments/results."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCORE = re.compile(r"-?\d\.\d{3} ± \d\.\d{3}(?: \[-?\d\.\d{3}, -?\d\.\d{3}\])?")


def test_every_score_of_the_readme_stands_in_a_table_of_the_results():
    shown = SCORE.findall((ROOT / "README.md").read_text())
    known = "\n".join(path.read_text() for path in (ROOT / "experiments/results").rglob("*.md"))
    assert len(shown) > 50
    assert [score for score in shown if score not in known] == []
