"""Text in figures: letters of any script, and formulas only in the names of units."""

import functools
import sys
import unicodedata
from collections.abc import Iterable

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

MATH = "cm"  # the font of formulas: the names of units
BOXES = "Last Resort"  # a font that has a box for every letter
_said: set[str] = set()


def settle(figure: Figure) -> None:
    """Draws every text of the figure with the letters that it has.

    A name with "$" or "_" is no formula. Letters that the default font lacks come from an installed font. Letters that
    no font has are printed once, and stay boxes.
    """
    default = letters(font_manager.findfont(font_manager.FontProperties()))
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_math_fontfamily() != MATH:
            text.set_parse_math(False)
            lacking = {letter for letter in text.get_text() if letter.isprintable()} - default
            if lacking:
                text.set_fontfamily([*text.get_fontfamily(), *families(frozenset(lacking))])


@functools.cache
def families(lacking: frozenset[str]) -> tuple[str, ...]:
    """Installed fonts that together have the letters. Prints the letters that no font has, each once."""
    chosen, left = [], set(lacking)
    fonts = {font.name: font.fname for font in font_manager.fontManager.ttflist if not font.name.startswith(BOXES)}
    while left and fonts:
        best = max(fonts, key=lambda name: len(left & letters(fonts[name])))
        if not left & letters(fonts[best]):
            break
        left -= letters(fonts.pop(best))
        chosen.append(best)
    if new := sorted(left - _said):
        _said.update(new)
        words = "".join(new[:20]) + ("…" if len(new) > 20 else "")
        print(f"No installed font has the letters {words}, so they are boxes; Noto Sans CJK has most.", file=sys.stderr)
    return tuple(chosen)


@functools.cache
def letters(path: str) -> frozenset[str]:
    """The letters that a font file has; none if it cannot be read."""
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()


def width(text: Iterable[str]) -> int:
    """Columns that a text takes: letters of East Asian scripts are two wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
