"""The canvas of the matplotlib figures: colors, panels placed in inches, and text that is drawn as it is written."""

import functools
import io
import re
import sys
import warnings
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

DPI = 160
INK, MUTED, FAINT, RULE = "#1c1c1e", "#6f6f76", "#b0b0b8", "#d0d0d6"
COLORS = ("#0b6fb8", "#d1495b", "#2a9d6f", "#e09f1f", "#7b5ea7", "#4cb5c4", "#8c5a3c", "#e377b4", "#8a8a00", "#555566")
MARGIN, HEADER = 0.3, 0.62  # inches around a figure, and of its title and subtitle
FONT = "DejaVu Sans"  # comes with matplotlib
FORMULA = re.compile(r"\$z_\{\d+,\d+\}\$")  # the name of a unit; any other text is no formula


def fit(text: str, inches: float, size: float, em: float = 0.52) -> str:
    """`text`, cut with an ellipsis to about `inches` at `size` points, if a letter is `em` wide (0.6 in bold)."""
    room = int(inches * 72 / (em * size))
    return text if len(text) <= room else text[: room - 1] + "…"


def canvas(width: float, height: float, title: str, subtitle: str) -> Figure:
    """A figure with a heading, `height` inches of room below it and `width` inches between its margins."""
    figure = Figure((width + 2 * MARGIN, height + HEADER + 2 * MARGIN), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    x, top, inch = MARGIN / figure.get_figwidth(), 1 - MARGIN / figure.get_figheight(), 1 / figure.get_figheight()
    figure.text(x, top, title, size=13, weight="bold", color=INK, va="top")
    figure.text(x, top - 0.28 * inch, fit(subtitle, width, 9), size=9, color=MUTED, va="top")
    return figure


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Bare axes, placed in inches from the left margin and from the bottom of the heading."""
    full_width, full_height = figure.get_size_inches()
    bottom = full_height - MARGIN - HEADER - top - height
    left, bottom = (MARGIN + left) / full_width, bottom / full_height
    axes = figure.add_axes((left, bottom, width / full_width, height / full_height))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    return axes


def empty(title: str, dataset: str, reason: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = canvas(6, 0.5, title, dataset)
    figure.text(0.5, 0.2, reason, size=9, color=MUTED, ha="center")
    return figure


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file, `DPI` pixels an inch."""
    for axes in figure.axes:
        axes.get_xticklabels(), axes.get_yticklabels()  # they are made when they are first asked for
    for text in figure.findobj(Text):
        if not FORMULA.fullmatch(text.get_text()):
            text.set_parse_math(False)  # a "$" in a name is a "$"
            if foreign := frozenset(text.get_text()) - _letters_of(FONT):
                text.set_fontfamily([FONT, *_fonts_for(foreign)])
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # said once, by _fonts_for
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


@functools.cache
def _letters_of(family: str) -> frozenset[str]:
    """The letters that a font family has."""
    entries = [entry for entry in fontManager.ttflist if entry.name == family]
    return frozenset("\n").union(*(_letters(entry) for entry in entries[:1]))


@functools.cache
def _letters(entry: FontEntry) -> frozenset[str]:
    try:
        return frozenset(map(chr, FT2Font(entry.fname).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()  # a font that cannot be read


@functools.cache
def _fonts_for(letters: frozenset[str]) -> tuple[str, ...]:
    """Installed font families that have these letters between them. Where letters are left over, it says so once."""
    found, missing = [], letters
    for entry in _by_width():
        if missing & _letters(entry):
            found.append(entry.name)
            missing -= _letters(entry)
        if not missing:
            break
    if missing:
        _say_once(f"no installed font has the letters {''.join(sorted(missing))!r}; figures show boxes in their place.")
    return tuple(found)


def _by_width() -> Iterable[FontEntry]:
    """The installed fonts, those of many scripts first."""
    wide = re.compile("cjk|unicode|unifont|droid sans fallback|wenquanyi|ipa|takao|nanum|gothic", re.IGNORECASE)
    return sorted(fontManager.ttflist, key=lambda entry: (not wide.search(entry.name), entry.name, entry.fname))


@functools.cache
def _say_once(sentence: str) -> None:
    print(sentence, file=sys.stderr)
