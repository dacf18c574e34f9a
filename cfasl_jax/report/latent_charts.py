"""Figures of the latent space: scatter, covariance, code against factor."""

import math
from typing import Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.axes3d import Axes3D

from cfasl_jax.report.arrays import Codes, FactorMaps
from cfasl_jax.report.matrices import heat_map, latent_names
from cfasl_jax.report.names import spaced
from cfasl_jax.report.style import (
    COLUMN_WIDTH,
    DIVERGING,
    MUTED,
    ORDERED,
    PAGE_WIDTH,
    PALETTE,
    RULE,
    new_figure,
)

_MOST_POINTS = 1500
_MOST_NARROW = 12


def scatter(part: Codes) -> Figure:
    """Draws the three most informative dimensions, a panel a factor."""
    K = len(part.factor_names)
    columns = min(3, K)
    rows = math.ceil(K / columns)
    panel = PAGE_WIDTH / 3
    figure = new_figure(panel * columns, 1.95 * rows)
    figure.set_layout_engine("none")
    points = part.latents[:_MOST_POINTS, list(part.informative)]
    for k, name in enumerate(part.factor_names):
        row, column = divmod(k, columns)
        left, bottom = column / columns, 1 - (row + 1) / rows
        box = (left + 0.13 / columns, bottom, 0.77 / columns, 0.92 / rows)
        axes = figure.add_axes(box, projection="3d")
        assert isinstance(axes, Axes3D)
        image = _scatter_panel(axes, points, part.factors[:_MOST_POINTS, k])
        key = (left + 0.04 / columns, bottom + 0.22 / rows, 0.025 / columns, 0.5 / rows)
        if image is not None:
            bar = figure.colorbar(image, cax=figure.add_axes(key))
            bar.outline.set_visible(False)
            bar.ax.locator_params(nbins=4)
        figure.text(left + 0.02 / columns, bottom + 0.9 / rows, spaced(name))
        names = latent_names(part.informative)
        axes.set_xlabel(names[0], labelpad=-10)
        axes.set_ylabel(names[1], labelpad=-10)
        axes.set_zlabel(names[2], labelpad=-10)
    return figure


def _scatter_panel(
    axes: Axes3D, points: np.ndarray, values: np.ndarray
) -> PathCollection | None:
    """Draws points [N, 3] coloured by a factor; returns what needs a colour bar.

    Few values get a hue each and a legend, many a place on an ordered scale.
    """
    levels = np.unique(values)
    style: dict[str, Any] = {"s": 3, "alpha": 0.7, "lw": 0, "depthshade": False}
    image = None
    if len(levels) <= len(PALETTE):
        for level, color in zip(levels, PALETTE, strict=False):
            chosen = points[values == level].T
            axes.scatter(*chosen, color=color, label=str(level), **style)
        place = {"loc": "upper left", "bbox_to_anchor": (-0.17, 0.9)}
        axes.legend(markerscale=2.5, handletextpad=0.1, borderpad=0.0, **place)
    else:
        image = axes.scatter(*points.T, c=values, cmap=ORDERED, **style)
    axes.tick_params(pad=-4, labelsize=5, colors=MUTED)
    axes.locator_params(nbins=4)
    axes.set_box_aspect(None, zoom=0.95)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color("white")
        axis.line.set_color(RULE)
        axis._axinfo["grid"].update(color=RULE, linewidth=0.3)
    return image


def covariance(matrix: np.ndarray) -> Figure:
    """Draws the eigenvalues and eigenvectors of the latent covariance [D, D]."""
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.take_along_axis(vectors, abs(vectors).argmax(0)[None], axis=0)
    vectors = vectors * np.sign(largest)
    D = len(matrix)
    figure = new_figure(PAGE_WIDTH, 2.4)
    bars, map_axes = figure.subplots(1, 2, width_ratios=(1, 1.35))
    numbers = [str(i + 1) for i in range(D)]
    bars.bar(numbers, values, color=PALETTE[0], width=0.7)
    bars.set(xlabel="eigenvector", ylabel="eigenvalue (variance)")
    image = heat_map(
        map_axes, vectors, latent_names(range(D)), numbers, DIVERGING, limits=(-1, 1)
    )
    map_axes.set(xlabel="eigenvector", ylabel="latent dimension")
    bar = figure.colorbar(image, ax=map_axes, aspect=22, label="component")
    bar.outline.set_visible(False)
    return figure


def factor_maps(part: FactorMaps) -> Figure:
    """Draws mutual information and DCI importance, a row a dimension."""
    panels = {
        "mutual information / entropy": part.mutual_information,
        "DCI importance": part.importance,
    }
    present = {name: m for name, m in panels.items() if m is not None}
    D, K = next(iter(present.values())).shape
    names = [spaced(name) for name in part.factor_names]
    # Many factors need a page's width; few let the two maps stand side by side.
    rows, columns = (len(present), 1) if K > _MOST_NARROW else (1, len(present))
    width = PAGE_WIDTH if K > _MOST_NARROW or columns > 1 else COLUMN_WIDTH
    figure = new_figure(width, rows * (0.75 + 0.2 * D))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (name, matrix) in zip(grid.flat, present.items(), strict=True):
        image = heat_map(axes, matrix, latent_names(range(D)), names)
        axes.set_title(name, loc="left")
        axes.tick_params(axis="x", rotation=90 if K > _MOST_NARROW else 25)
    bar = figure.colorbar(image, ax=grid, aspect=25)
    bar.outline.set_visible(False)
    return figure
