"""The common style of all figures: sizes, colours, and how a figure is saved."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMN_WIDTH = 3.25
"""Width of one column of a two-column page, in inches."""

PAGE_WIDTH = 6.5
"""Width of a full page of text, in inches."""

PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
"""Okabe and Ito's colours, told apart under every common colour-vision deficiency."""

SEQUENTIAL = "Blues"
DIVERGING = "RdBu_r"
ORDERED = "viridis"
INK = "#1a1a1a"
MUTED = "#767676"
RULE = "#d5d5d5"

_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlepad": 4.0,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "figure.facecolor": "white",
    "pdf.fonttype": 42,
}

_PNG_DPI = 200
_MOST_LETTERS = 30
_MOST_COUNTED = 14


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw everything inside the block in the style of the report."""
    with matplotlib.rc_context(_RC | {"font.sans-serif": list(_fonts())}):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, laid out by constraints."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write a figure as NAME.png and NAME.pdf and return the PNG's path."""
    png = folder / f"{name}.png"
    figure.savefig(png, dpi=_PNG_DPI, metadata={"Software": None})
    # The first drawing has settled the layout; the PDF keeps the images' own pixels.
    figure.set_layout_engine("none")
    for axes in figure.axes:
        for image in axes.images:
            image.set_interpolation("none")
    figure.savefig(png.with_suffix(".pdf"), dpi=300, metadata={"CreationDate": None})
    return png


# Fonts that hold what the first one lacks, where a system has them.
_FURTHER_FONTS = (
    "Noto Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
    "Hiragino Sans",
    "Microsoft YaHei",
)


@cache
def _fonts() -> tuple[str, ...]:
    """The fonts to draw with, each for the characters that those before it lack."""
    known = set(font_manager.get_font_names())
    return "DejaVu Sans", *(name for name in _FURTHER_FONTS if name in known)


@cache
def _characters() -> frozenset[int]:
    """The characters that some font can draw."""
    paths = [font_manager.findfont(name) for name in _fonts()]
    return frozenset().union(*(font_manager.get_font(p).get_charmap() for p in paths))


def drawable(words: str, otherwise: str) -> str:
    """A text from a user as a figure can show it; a "$" does not begin a formula.

    Args:
        words: any characters.
        otherwise: the text to use if no font on this system has all the characters.
    """
    known = all(ord(c) in _characters() and c.isprintable() for c in words)
    return words.replace("$", r"\$") if words.strip() and known else otherwise


def printable(name: str, otherwise: str) -> str:
    """A factor's name as a figure can show it, short and with spaces for "_"."""
    spaced = name.replace("_", " ").strip()
    if len(spaced) > _MOST_LETTERS:
        spaced = f"{spaced[: _MOST_LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
    return drawable(spaced, otherwise)


def thinned(labels: Sequence[str]) -> list[str]:
    """Labels that count up, of which only every n-th is written where all are many."""
    n = -(-len(labels) // _MOST_COUNTED)
    return [label if i % n == 0 else "" for i, label in enumerate(labels)]
