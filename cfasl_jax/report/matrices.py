"""Heat maps: matrices with labelled axes and legible numbers."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from cfasl_jax.report.style import INK, SEQUENTIAL

_MOST_NUMBERS = 140
_LEAST_TOP = 0.01
_DARK = 0.55


def heat_map(
    axes: Axes,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    cmap: str = SEQUENTIAL,
    limits: tuple[float, float] = (0.0, 1.0),
) -> AxesImage:
    """Draws a matrix, its numbers printed in the cells where there is room.

    Args:
      axes: where to draw.
      values: [rows, columns].
      rows: a label a row.
      columns: a label a column.
      cmap: the colour map's name.
      limits: the values at the map's two ends.

    Returns:
      The image, for a colour bar.
    """
    low, high = limits
    image = axes.imshow(values, cmap=cmap, vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    edges = [np.arange(1, size) - 0.5 for size in values.shape]
    axes.hlines(edges[0], -0.5, values.shape[1] - 0.5, color="white", lw=0.5)
    axes.vlines(edges[1], -0.5, values.shape[0] - 0.5, color="white", lw=0.5)
    if values.size <= _MOST_NUMBERS and high >= _LEAST_TOP:
        _write_numbers(axes, image, values, decimals(high))
    return image


def _write_numbers(
    axes: Axes, image: AxesImage, values: np.ndarray, places: int
) -> None:
    """Prints each value, white on dark cells."""
    shades = np.asarray(image.to_rgba(values))
    light = shades[..., :3] @ np.array([0.299, 0.587, 0.114])
    for (row, column), value in np.ndenumerate(values):
        color = "white" if light[row, column] < _DARK else INK
        label = axes.text(column, row, short(value, places), color=color, fontsize=5)
        label.set(ha="center", va="center")


def decimals(high: float) -> int:
    """Returns the decimals that tell values apart on a scale that ends at `high`."""
    return max(0, 2 + math.floor(-math.log10(high)))


def short(value: float, places: int) -> str:
    """Formats a number in few characters: .07, 1.00, 12; 0 where it rounds to that."""
    if round(value, places) == 0:
        return "0"
    digits = f"{abs(value):.{places}f}".removeprefix("0")
    return ("\N{MINUS SIGN}" if value < 0 else "") + digits


def latent_names(dimensions: Iterable[int]) -> list[str]:
    """Returns the names of latent dimensions, unlike those of the codes z1 and z2."""
    return [f"dim {d}" for d in dimensions]
