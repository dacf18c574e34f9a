"""Figures that are grids of images, pixels as they are and labels around them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cfasl_jax.report.style import INK, MUTED, PAGE_WIDTH, PALETTE

_GAP = 4
_LARGEST_CELL = 0.72
_HEADER = 0.2
_MARGIN = 0.04


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """What stands around and on a grid of images.

    Attributes:
      rows: a label a row; a second line is set smaller and lighter.
      columns: a label a column, or none.
      faded: rows that are drawn pale.
      marked: cells (row, column) that get a coloured bar below them.
      corner: a label of the column labels themselves.
    """

    rows: Sequence[str]
    columns: Sequence[str] = ()
    faded: Sequence[bool] = ()
    marked: Sequence[tuple[int, int]] = ()
    corner: str = ""


def as_rgb(images: np.ndarray) -> np.ndarray:
    """Returns uint8 images [..., H, W, C] with three channels, grey ones repeated."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def mosaic(grid: np.ndarray, gap: int = _GAP, background: int = 255) -> np.ndarray:
    """Lays out a grid of images as one image.

    Args:
      grid: [rows, columns, H, W, C] uint8.
      gap: pixels between two images.
      background: the grey level between images.

    Returns:
      [rows (H + gap) - gap, columns (W + gap) - gap, 3] uint8.
    """
    grid = as_rgb(grid)
    rows, columns, height, width, _ = grid.shape
    shape = (rows, height + gap, columns, width + gap, 3)
    canvas = np.full(shape, background, np.uint8)
    canvas[:, :height, :, :width] = grid.transpose(0, 2, 1, 3, 4)
    flat = canvas.reshape(rows * (height + gap), columns * (width + gap), 3)
    return flat[: rows * (height + gap) - gap, : columns * (width + gap) - gap]


def widest_cell(columns: int, label_width: float) -> float:
    """Returns the width in inches of an image where so many fill the page's width."""
    fit = (PAGE_WIDTH - label_width - 2 * _MARGIN) / columns
    return min(fit, _LARGEST_CELL)


def image_grid(
    grid: np.ndarray, labels: Labels, label_width: float = 0.95, cell: float = 0.0
) -> Figure:
    """Draws a labelled grid of images.

    Args:
      grid: [rows, columns, H, W, C] uint8.
      labels: what stands around it.
      label_width: room for the row labels, in inches.
      cell: width of an image in inches; 0 fits the page's width.

    Returns:
      The figure.
    """
    rows, columns, height, width, _ = grid.shape
    cell = cell or widest_cell(columns, label_width)
    header = _HEADER if labels.columns else 0.0
    grid = as_rgb(grid)
    if any(labels.faded):
        pale = np.asarray(labels.faded)[:, None, None, None, None]
        grid = np.where(pale, 110 + grid * 0.45, grid).astype(np.uint8)
    canvas = mosaic(grid)
    size = (columns * cell, rows * cell * height / width)
    total = (label_width + size[0] + 2 * _MARGIN, header + size[1] + 2 * _MARGIN)
    figure = Figure(figsize=total)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (
            (label_width + _MARGIN) / total[0],
            _MARGIN / total[1],
            size[0] / total[0],
            size[1] / total[1],
        )
    )
    axes.imshow(canvas, aspect="auto")
    axes.set_axis_off()
    _write_labels(axes, labels, height + _GAP, width + _GAP)
    return figure


def _write_labels(axes: Axes, labels: Labels, height: int, width: int) -> None:
    """Writes row and column labels and underlines the marked cells."""
    for row, label in enumerate(labels.rows):
        faded = bool(labels.faded) and labels.faded[row]
        name, _, note = label.partition("\n")
        place = (-1.0, row * height + (height - _GAP) / 2)
        shift = 4 if note else 0
        _beside(axes, name, place, (-4, shift), color=MUTED if faded else INK)
        _beside(axes, note, place, (-4, -5), color=MUTED, fontsize=6)
    for column, label in enumerate(labels.columns):
        place = (column * width + (width - _GAP) / 2, -1.0)
        _beside(axes, label, place, (0, 3), ha="center", va="bottom", fontsize=6.5)
    if labels.columns:
        place = (-1.0, -1.0)
        _beside(
            axes, labels.corner, place, (-4, 3), va="bottom", fontsize=6, color=MUTED
        )
    for row, column in labels.marked:
        corner = (column * width - 0.5, (row + 1) * height - _GAP)
        bar = Rectangle(corner, width - _GAP, _GAP - 1, color=PALETTE[1], lw=0)
        bar.set_clip_on(False)
        axes.add_patch(bar)


def _beside(
    axes: Axes,
    text: str,
    place: tuple[float, float],
    shift: tuple[float, float],
    **style: Any,
) -> None:
    """Writes a text at a pixel of the grid, shifted by so many points."""
    style = {"ha": "right", "va": "center"} | style
    note = axes.annotate(text, place, shift, textcoords="offset points")
    note.set(annotation_clip=False, **style)
