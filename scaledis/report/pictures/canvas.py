"""The canvas of the matplotlib figures: colors, panels placed in inches, and PNG files."""

import contextlib
import io
import warnings
from collections.abc import Iterator

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scaledis.report.pictures import fonts

DPI = 160
INK, MUTED, FAINT, RULE = "#1c1c1e", "#6f6f76", "#b0b0b8", "#d0d0d6"
COLORS = ("#0b6fb8", "#d1495b", "#2a9d6f", "#e09f1f", "#7b5ea7", "#4cb5c4", "#8c5a3c", "#e377b4", "#8a8a00", "#555566")
MARGIN, HEADER = 0.3, 0.62  # inches around a figure, and of its title and subtitle


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Builds and draws figures in matplotlib's default style, not that of the user's matplotlibrc or notebook."""
    with style.context("default"):
        yield


def fit(text: str, inches: float, size: float, em: float = 0.52) -> str:
    """`text`, cut with an ellipsis to about `inches` at `size` points, if a letter is `em` wide (0.6 in bold)."""
    room = int(inches * 72 / (em * size))
    if fonts.width(text) <= room:
        return text
    while text and fonts.width(text) >= room:
        text = text[:-1]
    return text + "…"


def canvas(width: float, height: float, title: str, subtitle: str) -> Figure:
    """A figure with a heading, `height` inches of room below it and `width` inches between its margins."""
    figure = Figure((width + 2 * MARGIN, height + HEADER + 2 * MARGIN), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    x, top, inch = MARGIN / figure.get_figwidth(), 1 - MARGIN / figure.get_figheight(), 1 / figure.get_figheight()
    figure.text(x, top, fit(title, width, 13, 0.6), size=13, weight="bold", color=INK, va="top")
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
    fonts.settle(figure)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # fonts.families prints it
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
