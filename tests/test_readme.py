"""README.md and docs/results.md say what experiments/results says; commands of the docs can be copied."""

import json
import re
import shlex
from pathlib import Path

import pytest

from scaledis import commands
from scaledis.core import command
from scaledis.main import COMMANDS

ROOT = Path(__file__).parents[1]
RESULTS, README = ROOT / "experiments/results", (ROOT / "README.md").read_text()
INTERVAL = r"-?\d+\.\d{3} \[-?\d+\.\d{3}, -?\d+\.\d{3}\]"
CLAIMS = {  # rows of the README: keys of claims.json, each of which begins with the name of its table
    r"ours beats VLAE in DCI-D \(": "table1, DCI-D, scale_vlae > vlae, small",
    "ours beats the best flat": "table1, DCI-D, scale_vlae > best flat, small",
    "ours beats VLAE in DCI-D, mean of nine": "primary, row 6, small",
    "a penalty between levels": "primary, row 4, small",
    "ours beats DAVA in MIG": "table1, MIG, small",
    "larger blocks add": "granularity, beta 5, small",
}


def without_deviations(text):
    """ "0.52 ± 0.03 [0.48, 0.56]" as "0.52 [0.48, 0.56]"."""
    return re.sub(r" ± \d+\.\d{3}", "", text)


def test_every_number_of_the_results_page_stands_in_a_table():
    page = re.sub(r"\]\([^)]*\)", "", (ROOT / "docs/results.md").read_text())  # without the links
    tables = without_deviations("\n".join(path.read_text() for path in RESULTS.rglob("*.md")))
    shown = re.findall(INTERVAL, " ".join(page.split()))
    assert len(shown) > 50 and [score for score in shown if score not in tables] == []
    known = set(re.findall(r"\d+\.\d{3}", tables))
    assert [number for number in re.findall(r"\d+\.\d{3}", page) if number not in known] == []


def test_the_claims_of_the_table_are_those_of_the_json_and_each_names_its_commit_there_alone():
    claims, table = json.loads((RESULTS / "claims.json").read_text()), (RESULTS / "claims.md").read_text()
    for name, row in claims.items():
        cells = name, *(row.get(key, "") for key in ("claim", "paper", "found", "interval", "verdict"))
        assert f"| {' | '.join(cells)} |\n" in table
    assert table.count("\n| ") == len(claims) + 2 and all(row["commit"] for row in claims.values())
    assert "commit |" not in table and "**" not in table


@pytest.mark.parametrize("row", CLAIMS)
def test_a_claim_of_the_readme_has_the_interval_and_numbers_of_its_table(row):
    claim = json.loads((RESULTS / "claims.json").read_text())[CLAIMS[row]]
    line = rf"^\| {row}.* \| (.*) \| ({INTERVAL})(?:, \*\*(.*)\*\*)? \|$"
    [(here, interval, verdict)] = re.findall(line, README, re.MULTILINE)
    table = claim["found"] + (RESULTS / CLAIMS[row].partition(",")[0] / "small.md").read_text()
    assert interval in without_deviations(claim["found"]) and verdict == claim.get("verdict", "")
    for number in re.findall(r"\d*\.?\d+", here):
        numbers = {round(float(value), len(number.partition(".")[2])) for value in re.findall(r"\d+\.?\d*", table)}
        assert float(number) in numbers


def test_every_file_that_the_readme_links_to_exists():
    links = set(re.findall(r"\]\((?!http)([^)#]+)", README))
    assert len(links) > 15 and {link for link in links if not (ROOT / link).exists()} == set()


def test_the_plans_that_the_docs_show_are_those_of_the_results():
    rows = [
        line
        for line in (ROOT / "docs/scale.md").read_text().splitlines()
        if re.match(r"\| (Table|100,000 runs of)", line)
    ]
    assert len(rows) > 30 and set(rows) <= set((RESULTS / "plans.md").read_text().splitlines())


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.stem
)
def test_every_command_of_a_page_has_a_line_of_its_own_and_arguments_that_exist(page):
    for language, block in re.findall(r"^```(.*?)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in ("" if language else block).replace("\\\n", "").splitlines():
            words = shlex.split(line, comments=True)
            if "scaledis" in words:
                assert words[0] == "scaledis"
                command.parse(getattr(commands, COMMANDS[words[1]].name), words[2:])
