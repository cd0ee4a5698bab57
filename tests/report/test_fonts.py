"""Names with "$", "_", or in any script are drawn as they are."""

import dataclasses
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.text import Text

from scaledis.report.pictures import contact, figures, fonts, traversals
from scaledis.report.pictures.figures import Summary
from tests import tiny

SANS = Path(matplotlib.get_data_path()) / "fonts/ttf"
STRANGE = ["_$x_{1}$_", "$", "a$b$c", r"\frac{", "$\\nope$", "a_b_c", "__", "100 % & <b>"]


def summary(name):
    rng = np.random.default_rng(0)
    return Summary(
        name=name,
        setting=name,
        dataset=name,
        factor_names=(name, "plain"),
        allocation=(2, 1),
        scores={"MIG": 0.5},
        records=[{"step": step, "loss_nats": 9.0 - step, "kl_nats": 1.0} for step in (1, 2, 3)],
        kl=np.ones(3),
        shares=rng.uniform(size=(3, 2)),
        traversals=rng.uniform(size=(3, 4, 16, 16, 3)),
        originals=rng.uniform(size=(2, 16, 16, 3)),
        reconstructions=rng.uniform(size=(2, 16, 16, 3)),
    )


def drawn(name):
    """Every figure of a report on a run, a factor and a data set of this name."""
    run = summary(name)
    makers = (traversals.sheet, traversals.reconstructions, figures.mutual_information, figures.losses)
    return [make([run]) for make in makers]


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("name", STRANGE)
def test_a_name_is_no_formula(name):
    for figure in drawn(name):
        assert figures.png(figure).startswith(b"\x89PNG")
        whole = [text for text in texts(figure) if text.get_text() == name]
        assert whole and not any(text.get_parse_math() for text in whole)
        units = [text for text in texts(figure) if text.get_text().startswith("$z_{")]
        assert all(text.get_parse_math() for text in units)


def test_the_names_of_units_stay_formulas():
    sheet, _, heat_maps, _ = drawn("plain")
    for figure in (sheet, heat_maps):
        figures.png(figure)
        units = [text for text in texts(figure) if text.get_text() == "$z_{2,1}$"]
        assert units and all(text.get_parse_math() for text in units)


def test_a_name_that_begins_with_an_underscore_stands_in_the_legend():
    figure = drawn("_mine")[3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["_mine"]


def test_a_data_set_of_any_name_has_a_contact_sheet():
    named = dataclasses.replace(tiny.dataset(), name="$x_{", factor_names=("_a$", "$", "b_c"))
    assert figures.png(contact.sheet(named)).startswith(b"\x89PNG")


@pytest.fixture
def installed(monkeypatch):
    """Only the fonts that the test names, beside the default one."""

    def install(**letters):
        entries = [font_manager.FontEntry(fname=f"/{name}.ttf", name=name) for name in letters]
        default = font_manager.findfont(font_manager.FontProperties())
        held = {f"/{name}.ttf": frozenset(has) for name, has in letters.items()} | {default: fonts.letters(default)}
        monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)
        monkeypatch.setattr(fonts, "letters", held.__getitem__)
        monkeypatch.setattr(fonts, "_said", set())
        fonts.families.cache_clear()

    yield install
    fonts.families.cache_clear()


def test_letters_come_from_fonts_that_have_them(installed, capsys):
    installed(Latin="abc", Han="中文字", Kana="かな中")
    assert fonts.families(frozenset("中文")) == ("Han",)
    assert fonts.families(frozenset("中文か")) == ("Han", "Kana")
    figure = figures.empty("中文 and a", "plain", "か")
    fonts.settle(figure)
    families = {text.get_text(): text.get_fontfamily()[1:] for text in texts(figure)}
    assert families == {"中文 and a": ["Han"], "plain": [], "か": ["Kana"]}
    assert capsys.readouterr().err == ""


def test_letters_that_no_font_has_are_said_once_and_drawn_as_boxes(installed, capsys):
    installed(Latin="abc", **{"Last Resort High-Efficiency": "中文"})
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert figures.png(figures.empty("中文", "文", "plain")).startswith(b"\x89PNG")
    said = capsys.readouterr().err
    assert said.count("No installed font has the letters") == 1 and "中" in said and "Noto Sans CJK" in said


def test_the_letters_of_a_font_file():
    assert {"a", "é", "Ω"} <= fonts.letters(str(SANS / "DejaVuSans.ttf")) and "中" not in fonts.letters(
        str(SANS / "DejaVuSans.ttf")
    )
    assert fonts.letters("/nowhere.ttf") == frozenset()


def test_wide_letters_take_twice_the_room():
    assert fonts.width("abc") == 3 and fonts.width("中文") == 4
    assert figures.fit("abcdefghij", 1, 10) == "abcdefghij" and len(figures.fit("a" * 20, 1, 10)) == 13
    assert figures.fit("中" * 20, 1, 10) == "中" * 6 + "…"
