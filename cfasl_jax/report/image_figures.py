"""The figures made of images: what the model draws, and how its symmetries act.

Each function draws one part of an analysis, given by the names of its arrays; shapes
are in `cfasl_jax.report.analysis.ARRAYS`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cfasl_jax.report.analysis import Part, kl_order
from cfasl_jax.report.style import INK, MUTED, PAGE_WIDTH, PALETTE, printable, thinned

_GAP = 4
_LARGEST_CELL = 0.72
_HEADER = 0.2
_MARGIN = 0.04
_MOST_COLUMNS = 10
_MOST_PAIRS = 6


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """The labels and marks of a grid of images.

    Attributes:
        rows: one label for each; a second line is set smaller and lighter.
        columns: one label for each, or none at all.
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
    """The uint8 images [..., H, W, C] with three channels, grey ones repeated."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def mosaic(grid: np.ndarray, gap: int = _GAP) -> np.ndarray:
    """Lay out a grid of images as one image.

    Args:
        grid: [rows, columns, H, W, C] uint8.
        gap: pixels between two images.

    Returns:
        [rows (H + gap) - gap, columns (W + gap) - gap, 3] uint8.
    """
    grid = as_rgb(grid)
    rows, columns, height, width, _ = grid.shape
    shape = (rows, height + gap, columns, width + gap, 3)
    canvas = np.full(shape, 255, np.uint8)
    canvas[:, :height, :, :width] = grid.transpose(0, 2, 1, 3, 4)
    flat = canvas.reshape(rows * (height + gap), columns * (width + gap), 3)
    return flat[: rows * (height + gap) - gap, : columns * (width + gap) - gap]


def widest_cell(columns: int, label_width: float) -> float:
    """The width in inches of an image where so many fill the page's width."""
    fit = (PAGE_WIDTH - label_width - 2 * _MARGIN) / columns
    return min(fit, _LARGEST_CELL)


def image_grid(
    grid: np.ndarray, labels: Labels, label_width: float = 0.95, cell: float = 0.0
) -> Figure:
    """Draw a labelled grid of images.

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
    """Write row and column labels and underline the marked cells."""
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
    """Write a text at a pixel of the grid, shifted by so many points."""
    style = {"ha": "right", "va": "center"} | style
    note = axes.annotate(text, place, shift, textcoords="offset points")
    note.set(annotation_clip=False, **style)


def _spread(steps: int) -> np.ndarray:
    """The indices of at most 11 steps, evenly spread, both ends included."""
    return np.linspace(0, steps - 1, min(steps, 11)).round().astype(int)


def _signed(values: np.ndarray) -> list[str]:
    """Numbers with their sign, a true minus for the negative ones."""
    return [f"{v:+.1f}".replace("-", "\N{MINUS SIGN}") if v else "0" for v in values]


def reconstructions(part: Part) -> Figure:
    """Draw images above their reconstructions."""
    grid = np.stack([part["originals"], part["decoded"]])[:, :_MOST_COLUMNS]
    return image_grid(grid, Labels(("image", "reconstruction")))


def traversals(part: Part) -> Figure:
    """Draw one row for each dimension, largest KL first; collapsed ones are greyed."""
    kl, active = part["kl"], part["active"]
    order = kl_order(kl, active)
    columns = _spread(len(part["values"]))
    labels = Labels(
        rows=[
            f"dim {d}\nKL {kl[d]:.2f}" + ("" if active[d] else ", inactive")
            for d in order
        ],
        columns=_signed(part["values"][columns]),
        faded=[not active[d] for d in order],
        corner="value",
    )
    return image_grid(part["frames"][order][:, columns], labels)


def composition(part: Part) -> Figure:
    """Draw x1, its reconstruction, decode(z1 g_c) and x2, one column for each pair."""
    path, switch = part["path"], part["switch"][:_MOST_COLUMNS]
    rows = np.stack([part["x1"], path[:, 0], path[:, -1], part["x2"]])
    labels = Labels(
        ("$x_1$", "decode($z_1$)", "decode($z_1 g_c$)", "$x_2$"),
        corner="switched on",
        columns=[f"{on} of {switch.shape[1]}" for on in (switch > 0.5).sum(axis=1)],
    )
    return image_grid(rows[:, :_MOST_COLUMNS], labels, label_width=1.05)


def sections(part: Part) -> Figure:
    """Draw x1, one more section at each step, and x2, one row for each pair."""
    grid = _between(part)
    S = part["switch"].shape[1]
    used = np.argwhere(part["switch"][: len(grid)] > 0.5)
    labels = Labels(
        rows=[f"pair {pair}" for pair in range(len(grid))],
        columns=["$x_1$", "$z_1$", *thinned([f"+ {s}" for s in range(S)]), "$x_2$"],
        marked=[(pair, section + 2) for pair, section in used.tolist()],
        corner="section",
    )
    return image_grid(grid, labels, label_width=0.55)


def walk(part: Part) -> Figure:
    """Draw x1, one more dimension of z2 at each step, and x2; a row is a pair."""
    grid = _between(part)
    names = thinned([str(d) for d in part["dimensions"]])
    labels = Labels(
        rows=[f"pair {pair}" for pair in range(len(grid))],
        columns=["$x_1$", "$z_1$", *names, "$x_2$"],
        corner="exchanged dim",
    )
    return image_grid(grid, labels, label_width=0.85)


def _between(part: Part) -> np.ndarray:
    """The first few pairs as rows of x1, all steps between, and x2."""
    ends = part["x1"][:, None], part["x2"][:, None]
    return np.concatenate([ends[0], part["frames"], ends[1]], axis=1)[:_MOST_PAIRS]


def factor_steps(part: Part) -> Figure:
    """Draw a factor's values, and the images that the predicted symmetries make."""
    grid = np.stack([part["originals"], part["one_shot"], part["chained"]])
    labels = Labels(
        rows=("image", "one-shot\nfrom the step before", "chained\nfrom the first"),
        columns=[str(value) for value in part["values"][:_MOST_COLUMNS]],
        corner=printable(str(part["factor"]), "value"),
    )
    # Images of one size for all factors, however many values a factor has.
    cell = widest_cell(_MOST_COLUMNS, label_width=1.2)
    return image_grid(grid[:, :_MOST_COLUMNS], labels, label_width=1.2, cell=cell)


def section_action(part: Part) -> Figure:
    """Draw each section acting alone with a growing amount, one row for each."""
    columns = _spread(len(part["amounts"]))
    labels = Labels(
        rows=[f"section {s}" for s in range(len(part["frames"]))],
        columns=_signed(part["amounts"][columns]),
        corner="amount",
    )
    return image_grid(part["frames"][:, columns], labels)
