"""The figures with numbers: those of the latent space and of the codebook.

Each function draws one part of an analysis, given by the names of its arrays; shapes
are in `cfasl_jax.report.analysis.ARRAYS`.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from mpl_toolkits.mplot3d.axes3d import Axes3D

from cfasl_jax.report.analysis import Part
from cfasl_jax.report.style import (
    COLUMN_WIDTH,
    DIVERGING,
    INK,
    MUTED,
    ORDERED,
    PAGE_WIDTH,
    PALETTE,
    RULE,
    SEQUENTIAL,
    new_figure,
    printable,
    thinned,
)

_MOST_NUMBERS = 140
_LEAST_TOP = 0.01
_DARK = 0.55
_MOST_POINTS = 1500
_MOST_NARROW = 12


def posteriors(part: Part) -> Figure:
    """Draw the spread of the posterior means, the deviations and the KL by dimension.

    Rows are ordered by decreasing KL.
    """
    order = np.argsort(-part["kl"], kind="stable")
    low, lower, median, upper, high = part["quantiles"][order].T
    sigma, kl = part["sigma"][order], part["kl"][order]
    D = len(order)
    rows = np.arange(D)
    figure = new_figure(PAGE_WIDTH, max(1.4, 0.6 + 0.17 * D))
    spread, bars = figure.subplots(1, 2, width_ratios=(1.7, 1), sharey=True)
    spread.axvline(0.0, color=RULE, lw=0.6, zorder=0)
    spread.barh(rows, 2 * sigma, 0.75, median - sigma, color=RULE)
    spread.hlines(rows, low, high, color=PALETTE[0], lw=0.8)
    spread.hlines(rows, lower, upper, color=PALETTE[0], lw=3)
    spread.plot(median, rows, "o", color=INK, ms=2.5)
    spread.set_yticks(rows, latent_names(order))
    spread.invert_yaxis()
    spread.set(xlabel="posterior mean", ylabel="latent dimension")
    bars.barh(rows, kl, 0.6, color=PALETTE[0])
    bars.set_xlabel("KL (nats)")
    bars.tick_params(axis="y", length=0, labelleft=False)
    return figure


def scatter(part: Part) -> Figure:
    """Draw the most informative dimensions, three or two, coloured by each factor."""
    dimensions = part["dimensions"].tolist()
    names = factor_labels(part["factor_names"])
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = new_figure(PAGE_WIDTH / 3 * columns, 1.95 * rows)
    figure.set_layout_engine("none")
    points = part["latents"][:_MOST_POINTS, dimensions]
    for k, name in enumerate(names):
        row, column = divmod(k, columns)
        left, bottom = column / columns, 1 - (row + 1) / rows
        axes = _scatter_axes(figure, (left, bottom, 1 / columns, 1 / rows), dimensions)
        image = _scatter_panel(axes, points, part["factors"][:_MOST_POINTS, k])
        key = (left + 0.04 / columns, bottom + 0.22 / rows, 0.025 / columns, 0.5 / rows)
        if image is not None:
            bar = _colour_bar(figure, image, cax=figure.add_axes(key))
            bar.ax.locator_params(nbins=4)
        figure.text(left + 0.02 / columns, bottom + 0.9 / rows, name)
    return figure


def _scatter_axes(
    figure: Figure, panel: tuple[float, float, float, float], dimensions: Sequence[int]
) -> Axes:
    """Axes of two or three dimensions in a panel (left, bottom, width, height)."""
    left, bottom, width, height = panel
    names = latent_names(dimensions)
    if len(dimensions) == 2:
        box = (left + 0.3 * width, bottom + 0.2 * height, 0.65 * width, 0.66 * height)
        axes = figure.add_axes(box)
        axes.set(xlabel=names[0], ylabel=names[1])
        return axes
    box = (left + 0.13 * width, bottom, 0.77 * width, 0.92 * height)
    solid = figure.add_axes(box, projection="3d")
    assert isinstance(solid, Axes3D)
    for axis, name in zip("xyz", names, strict=True):
        getattr(solid, f"set_{axis}label")(name, labelpad=-10)
    solid.tick_params(pad=-4, labelsize=5, colors=MUTED)
    solid.locator_params(nbins=4)
    solid.set_box_aspect(None, zoom=0.95)
    for axis in (solid.xaxis, solid.yaxis, solid.zaxis):
        axis.set_pane_color("white")
        axis.line.set_color(RULE)
        axis._axinfo["grid"].update(color=RULE, linewidth=0.3)
    return solid


def _scatter_panel(
    axes: Axes, points: np.ndarray, values: np.ndarray
) -> PathCollection | None:
    """Draw points [N, P] coloured by a factor; return what needs a colour bar.

    Few values get a hue each and a legend; many values get an ordered colour scale.
    """
    levels = np.unique(values)
    style: dict[str, Any] = {"s": 3, "alpha": 0.7, "lw": 0}
    if isinstance(axes, Axes3D):
        style["depthshade"] = False
    if len(levels) > len(PALETTE):
        return axes.scatter(*points.T, **style, c=values, cmap=ORDERED)  # type: ignore[misc]
    for level, color in zip(levels, PALETTE, strict=False):
        chosen = points[values == level].T
        axes.scatter(*chosen, color=color, label=str(level), **style)
    left = -0.17 if isinstance(axes, Axes3D) else -0.5
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (left, 0.9)}
    axes.legend(markerscale=2.5, handletextpad=0.1, borderpad=0.0, **place)
    return None


def covariance(part: Part) -> Figure:
    """Draw the eigenvalues and eigenvectors of the latents' covariance."""
    matrix = part["matrix"]
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.take_along_axis(vectors, abs(vectors).argmax(0)[None], axis=0)
    vectors = vectors * np.sign(largest)
    D = len(matrix)
    figure = new_figure(PAGE_WIDTH, 2.4)
    bars, map_axes = figure.subplots(1, 2, width_ratios=(1, 1.35))
    numbers = thinned([str(i + 1) for i in range(D)])
    bars.bar(range(D), values, color=PALETTE[0], width=0.7)
    bars.set_xticks(range(D), numbers)
    bars.set(xlabel="eigenvector", ylabel="eigenvalue (variance)")
    names = thinned(latent_names(range(D)))
    image = heat_map(map_axes, vectors, names, numbers, DIVERGING, limits=(-1, 1))
    map_axes.set(xlabel="eigenvector", ylabel="latent dimension")
    _colour_bar(figure, image, ax=map_axes, aspect=22, label="component")
    return figure


def factor_maps(part: Part) -> Figure:
    """Draw mutual information and, where it is known, DCI importance."""
    present = {"mutual information / entropy": part["normalised"]}
    if "importance" in part:
        present["DCI importance"] = part["importance"]
    D, K = part["normalised"].shape
    names = factor_labels(part["factor_names"])
    # Many factors need a page's width; few let the two maps stand side by side.
    rows, columns = (len(present), 1) if K > _MOST_NARROW else (1, len(present))
    width = PAGE_WIDTH if K > _MOST_NARROW or columns > 1 else COLUMN_WIDTH
    figure = new_figure(width, rows * (0.75 + 0.2 * D))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (name, matrix) in zip(grid.flat, present.items(), strict=True):
        image = heat_map(axes, matrix, latent_names(range(D)), names)
        axes.set_title(name, loc="left")
        axes.tick_params(axis="x", rotation=90 if K > _MOST_NARROW else 25)
    _colour_bar(figure, image, ax=grid, aspect=25)
    return figure


def codebook_structure(part: Part) -> Figure:
    """Draw commutator norms and cosines, section against section."""
    names = thinned([str(s) for s in range(len(part["commutator"]))])
    figure = new_figure(PAGE_WIDTH, 2.75)
    left, right = figure.subplots(1, 2)
    top = max(float(part["commutator"].max()), 1e-12)
    panels = (
        (left, "commutator norm", part["commutator"], top),
        (right, "cosine between directions", part["cosine"], 1.0),
    )
    for axes, title, matrix, high in panels:
        image = heat_map(axes, matrix, names, names, limits=(0.0, high))
        axes.set_title(title, loc="left")
        axes.set(xlabel="section", ylabel="section")
        _colour_bar(figure, image, ax=axes, aspect=22)
    return figure


def codebook_use(part: Part) -> Figure:
    """Draw how often each section is on, and which elements it attends to."""
    S, L = part["element_use"].shape
    figure = new_figure(PAGE_WIDTH, 0.7 + 0.2 * S)
    bars, axes = figure.subplots(1, 2, width_ratios=(1, 2.6), sharey=True)
    names = [str(s) for s in range(S)]
    image = heat_map(
        axes,
        part["element_use"],
        names,
        thinned([str(element) for element in range(L)]),
        limits=(0.0, max(float(part["element_use"].max()), 1 / L)),
    )
    axes.set_title("attention to elements", loc="left")
    axes.set_xlabel("element")
    _colour_bar(figure, image, ax=axes, aspect=22)
    bars.barh(np.arange(S), part["section_use"], color=PALETTE[0], height=0.7)
    bars.set(xlim=(0, 1), xlabel="share of pairs", ylabel="section")
    bars.set_title("switched on", loc="left")
    return figure


def section_moves(part: Part) -> Figure:
    """Draw how far each section moves each latent dimension."""
    distance = part["distance"]
    S, D = distance.shape
    figure = new_figure(min(PAGE_WIDTH, 1.6 + 0.36 * D), max(1.5, 0.7 + 0.2 * S))
    axes = figure.subplots()
    sections = [f"{s} ({share:.0%})" for s, share in enumerate(part["on"])]
    dimensions = thinned([str(d) for d in range(D)])
    top = max(float(distance.max()), 1e-12)
    image = heat_map(axes, distance, sections, dimensions, limits=(0.0, top))
    axes.set(xlabel="latent dimension", ylabel="section (switched on)")
    _colour_bar(figure, image, ax=axes, aspect=22)
    return figure


def equivariance(part: Part) -> Figure:
    """Draw the equivariance error of each factor, before that of doing nothing."""
    errors, distances = part["errors"], part["distances"]
    K = len(errors)
    figure = new_figure(COLUMN_WIDTH, 0.85 + 0.25 * K)
    axes = figure.subplots()
    rows = np.arange(K)
    axes.barh(rows, distances, color=RULE, height=0.8, label="$z_1$ from $z_2$")
    label = "$z_1 g_c$ from $z_2$"
    axes.barh(rows, errors, color=PALETTE[0], height=0.45, label=label)
    ends = np.maximum(errors, distances)
    for row in rows:
        note = f"{errors[row]:.2g} of {distances[row]:.2g}"
        axes.annotate(
            note,
            (ends[row], row),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6,
        )
    axes.set_yticks(rows, factor_labels(part["factor_names"]))
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.set_xlabel("mean squared distance")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=2,
        borderaxespad=0.0,
        handlelength=1.2,
    )
    return figure


def _colour_bar(figure: Figure, image: ScalarMappable, **options: Any) -> Colorbar:
    """Add a colour bar without an outline; options are those of Matplotlib."""
    bar = figure.colorbar(image, **options)
    bar.outline.set_visible(False)
    return bar


def heat_map(
    axes: Axes,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    cmap: str = SEQUENTIAL,
    limits: tuple[float, float] = (0.0, 1.0),
) -> AxesImage:
    """Draw a matrix, with its numbers in the cells if there is room.

    Args:
        axes: where to draw.
        values: [rows, columns].
        rows: one label for each.
        columns: one label for each.
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
    """Print each value, white on dark cells."""
    shades = np.asarray(image.to_rgba(values))
    light = shades[..., :3] @ np.array([0.299, 0.587, 0.114])
    for (row, column), value in np.ndenumerate(values):
        color = "white" if light[row, column] < _DARK else INK
        label = axes.text(column, row, short(value, places), color=color, fontsize=5)
        label.set(ha="center", va="center")


def decimals(high: float) -> int:
    """The decimals that tell values apart on a scale that ends at `high`."""
    return max(0, 2 + math.floor(-math.log10(high)))


def short(value: float, places: int) -> str:
    """Format a number in few characters: .07, 1.00, 12; 0 where it rounds to that."""
    if round(value, places) == 0:
        return "0"
    digits = f"{abs(value):.{places}f}".removeprefix("0")
    return ("\N{MINUS SIGN}" if value < 0 else "") + digits


def latent_names(dimensions: Iterable[int]) -> list[str]:
    """The names of latent dimensions, unlike those of the codes z1 and z2."""
    return [f"dim {d}" for d in dimensions]


def factor_labels(names: Iterable[str]) -> list[str]:
    """The factors' names as a figure can show them."""
    return [printable(str(name), f"factor {k}") for k, name in enumerate(names)]
