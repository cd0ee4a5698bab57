import html.parser
import re

import numpy as np
import pytest

from scaledis.report import figures, page
from scaledis.report.figures import Summary

RUNS = [
    Summary("vlae, seed 0", "vlae", scores={"DCI-D": 0.30, "MIG": 0.5}),
    Summary("vlae, seed 1", "vlae", scores={"DCI-D": 0.40, "MIG": 0.1}),
    Summary("ours, seed 0", "ours", scores={"DCI-D": 0.60, "MIG": 0.2}),
    Summary("ours, seed 1", "ours", scores={"DCI-D": 0.80, "MIG": float("nan")}),
    Summary("ours, seed 2", "ours", diverged_at=1200),
]


@pytest.fixture(scope="module")
def picture():
    return page.Picture(figures.png(figures.losses([], "rendered")), "Loss & terms.")


def cells(text):
    return {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in text.splitlines()
        if "|" in line
    }


def test_table_holds_mean_and_sample_deviation_with_the_best_in_bold():
    table = page.table(RUNS, "rendered", backend="LightGBM")
    rows = cells(table)
    assert rows["run"] == ["DCI-D", "MIG"]
    assert rows["vlae (2/2 seeds)"] == ["0.350 ± 0.071", "**0.300 ± 0.283**"]
    assert rows["ours (2/3 seeds)"] == ["**0.700 ± 0.141**", "0.200"]
    assert rows["· ours, seed 1"] == ["0.800", "–"] and rows["· ours, seed 2"] == ["–", "–"]
    assert "Data set: rendered." in table and "DCI by LightGBM." in table and "ours, seed 2 (step 1,200)" in table
    assert len({len(line) for line in table.splitlines() if line.startswith("|")}) == 1


def test_table_marks_the_largest_mean_as_printed_and_every_tie():
    runs = [Summary(name, name, scores={"MIG": score}) for name, score in (("a", 0.1), ("b", 0.2), ("c", 0.20001))]
    rows = cells(page.table(runs, "rendered"))
    assert [rows[name] for name in "abc"] == [["0.100"], ["**0.200**"], ["**0.200**"]]


@pytest.mark.parametrize("runs", [[], RUNS[:1], RUNS[4:], [RUNS[0], RUNS[2]]])
def test_missing_data_gives_a_table_and_a_page(runs):
    table, text = page.table(runs, "celeba"), page.render("A title", "celeba", runs)
    assert "±" not in table and "nan" not in table and "celeba" in text
    assert ("No run has scores." in text) == (not any(run.scores for run in runs))


def test_page_is_well_formed_and_needs_nothing_else(picture):
    text = page.render(
        "Title", "rendered", RUNS, [picture] * 2, summary="What.", facts={"steps": 5}, command="make demo"
    )
    assert not re.search(r"""(?:src|href)\s*=(?!"data:image/png;base64,)|url\(|@import|<script|<link""", text)
    assert text.count('src="data:image/png;base64,') == 2
    opened = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, _: opened.append(tag) if tag not in ("meta", "img") else None
    parser.handle_endtag = lambda tag: opened.remove(tag) if opened[-1] == tag else pytest.fail(f"{tag} in {opened}")
    parser.feed(text)
    assert not opened


def test_page_escapes_whatever_it_is_given(picture):
    evil = "<b onload='x'>&\""
    runs = [Summary(evil, evil, scores={evil: 1.0}, diverged_at=1)]
    pictures = [picture._replace(caption=evil)]
    options = {"summary": evil, "facts": {evil: evil}, "command": evil, "config": {evil: evil}, "backend": evil}
    text = page.render(evil, evil, runs, pictures, **options)
    assert "<b onload" not in text and "&lt;b onload=&#x27;x&#x27;&gt;&amp;&quot;" in text


def test_page_shows_the_configuration_as_the_command_line_takes_it():
    config = {"model": {"allocation": (4, 2), "inner": {"name": "ladder"}}, "seed": 0, "none": {}, "odd": np.float32(1)}
    text = page.render("Title", "rendered", [], config=config)
    assert "model.allocation = [4, 2]\nmodel.inner.name = &quot;ladder&quot;\nseed = 0\nnone = {}\nodd = " in text


def test_write_replaces_the_file_and_leaves_nothing_behind(tmp_path):
    for text in ("old", "new ±"):
        page.write(tmp_path / "index.html", text)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "new ±"
