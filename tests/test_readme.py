"""README.md and docs/results.md say what experiments/results says."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS, README = ROOT / "experiments/results", (ROOT / "README.md").read_text()
SCORE = re.compile(r"-?\d\.\d{3} ± \d\.\d{3}(?: \[-?\d\.\d{3}, -?\d\.\d{3}\])?")
CLAIMS = {  # rows of the README: keys of claims.json, each of which begins with the name of its table
    "ours beats VLAE in DCI-D": "table1, DCI-D, scale_vlae > vlae, small",
    "ours beats the best flat": "table1, DCI-D, scale_vlae > best flat, small",
    "ours beats VLAE at each": "table2, all allocations, small",
    "the penalty within": "figure1, intra, small",
    "ours is first in MIG": "table1, MIG, small",
    "larger blocks add": "granularity, beta 5, small",
}


def test_every_score_of_the_results_page_stands_in_a_table():
    shown = SCORE.findall((ROOT / "docs/results.md").read_text())
    tables = "\n".join(path.read_text() for path in RESULTS.rglob("*.md"))
    assert len(shown) > 50 and [score for score in shown if score not in tables] == []


@pytest.mark.parametrize("row", CLAIMS)
def test_a_claim_of_the_readme_has_the_verdict_and_numbers_of_its_table(row):
    claim = json.loads((RESULTS / "claims.json").read_text())[CLAIMS[row]]
    [(here, verdict)] = re.findall(rf"^\| {row}.* \| (.*) \| \*\*(.*)\*\* \|$", README, re.MULTILINE)
    table = claim["found"] + (RESULTS / CLAIMS[row].partition(",")[0] / "small.md").read_text()
    assert verdict == claim["verdict"]
    for number in re.findall(r"\d*\.?\d+", here):
        numbers = {round(float(value), len(number.partition(".")[2])) for value in re.findall(r"\d+\.?\d*", table)}
        assert float(number) in numbers


def test_every_file_that_the_readme_links_to_exists():
    links = set(re.findall(r"\]\((?!http)([^)#]+)", README))
    assert len(links) > 15 and {link for link in links if not (ROOT / link).exists()} == set()
