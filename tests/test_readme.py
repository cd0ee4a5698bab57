"""The scores of the README and of docs/results.md are those of experiments/results."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCORE = re.compile(r"-?\d\.\d{3} ± \d\.\d{3}(?: \[-?\d\.\d{3}, -?\d\.\d{3}\])?")


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_every_score_of_a_page_stands_in_a_table_of_the_results(page):
    shown = SCORE.findall((ROOT / page).read_text())
    known = "\n".join(path.read_text() for path in (ROOT / "experiments/results").rglob("*.md"))
    assert len(shown) > 50
    assert [score for score in shown if score not in known] == []
