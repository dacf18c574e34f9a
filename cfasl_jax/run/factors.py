"""Which images metrics draw, and which differ in one factor, as factors allow."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cfasl_jax import metrics
from cfasl_jax.data.dataset import Dataset, Labels
from cfasl_jax.data.grid import FactorGrid

# The most images that are encoded if the factors do not form a full grid: images are
# then drawn from the rows of a table, so that each row needs a code.
MOST_ROWS = 100_000

# int [n] -> codes [n, D]
Read = Callable[[np.ndarray], np.ndarray]
Sources = metrics.Grid | metrics.Table


class NoScoresError(ValueError):
    """A data set's factors allow no disentanglement score; the message says why."""


class FactorSource(NamedTuple):
    """What metrics draw from.

    Attributes:
        images: source of their codes and factors.
        names: of the factors that vary, K.
        left_out: sentences on what is left out.
    """

    images: Sources
    names: list[str]
    left_out: list[str]


class Controlled(NamedTuple):
    """Images by their factors, where each can change while the others stay.

    Attributes:
        names: of the factors, K.
        grid: their values, and then, if several images have the same factors, the
            place of an image among these.
        order: the images in the grid's order, int [N]; None where they are stored so.
    """

    names: tuple[str, ...]
    grid: FactorGrid
    order: np.ndarray | None = None

    @property
    def varying(self) -> list[int]:
        """The factors that have more than one value."""
        return [k for k in range(len(self.names)) if self.grid.sizes[k] > 1]

    def indices(self, points: np.ndarray) -> np.ndarray:
        """Images at points of the grid, [..., K or K + 1] -> [...]."""
        indices = self.grid.indices(points)
        return indices if self.order is None else self.order[indices]


def controlled(dataset: Dataset) -> Controlled | None:
    """Images by their factors if each combination occurs equally often, else None.

    The n-th image of one combination is taken to belong to the n-th of every other. In
    smallNORB's "paper" convention these are images of the same category.
    """
    if dataset.grid is not None:
        return Controlled(dataset.grid.names, dataset.grid)
    if dataset.labels is None:
        return None
    names, sizes = dataset.labels.names, dataset.labels.sizes
    copies, rest = divmod(dataset.num_images, math.prod(sizes))
    if rest:  # also where there are far too many combinations to be counted
        return None
    points = FactorGrid(names, sizes).indices(dataset.labels.factors)
    if np.any(np.bincount(points, minlength=math.prod(sizes)) != copies):
        return None
    grid = FactorGrid((*names, "copy"), (*sizes, copies))
    return Controlled(names, grid, np.argsort(points, kind="stable"))


def factor_source(read: Read, dataset: Dataset) -> FactorSource:
    """The source of images for metrics.

    Args:
        read: returns codes of images by index.
        dataset: a data set with a full grid of factors, with labels, or with neither.

    Raises:
        NoScoresError: if fewer than two factors vary.
    """
    if dataset.grid is not None:
        return _grid(read, dataset.grid, dataset.name)
    if dataset.labels is not None:
        return _table(read, dataset.labels, dataset.name)
    raise NoScoresError(
        f"{dataset.name} has no ground-truth factors: there are only scores that need "
        "none"
    )


def _grid(read: Read, grid: FactorGrid, name: str) -> FactorSource:
    sizes = np.asarray(grid.sizes)
    kept, left_out = _varying(sizes, grid.names, name)

    def encode(factors: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(factors), len(sizes)), np.int64)
        whole[:, kept] = factors
        return read(grid.indices(whole))

    images = metrics.Grid(encode, sizes[kept])
    return FactorSource(images, [grid.names[k] for k in kept], left_out)


def _table(read: Read, labels: Labels, name: str) -> FactorSource:
    N, rows, left_out = len(labels.factors), np.arange(len(labels.factors)), []
    if N > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(N, MOST_ROWS, replace=False))
        left_out.append(f"scores are of {MOST_ROWS:,} random images of {N:,}")
    factors = labels.factors[rows]
    found = np.array([len(np.unique(column)) for column in factors.T])
    kept, sentences = _varying(found, labels.names, name)
    left_out += _holes_or_copies(factors, math.prod(found.tolist()), name)
    images = metrics.Table(read(rows), factors[:, kept])
    names = [labels.names[k] for k in kept]
    return FactorSource(images, names, left_out + sentences)


def _holes_or_copies(factors: np.ndarray, combinations: int, name: str) -> list[str]:
    """Why the factors [n, K] of a data set are no full grid; empty if they are one."""
    counts = np.unique(factors, axis=0, return_counts=True)[1]
    if len(counts) < combinations or np.ptp(counts):
        return [
            f"{name} is not a full grid: {len(counts):,} of the {combinations:,} "
            f"combinations of factor values occur, in {len(factors):,} images, so "
            "metrics that fix factors draw among those images"
        ]
    if counts[0] == 1:
        return []
    return [
        f"each of the {combinations:,} combinations of factor values occurs in "
        f"{counts[0]} images of {name}, which differ in what has no label"
    ]


def _varying(
    sizes: np.ndarray, names: Sequence[str], dataset: str
) -> tuple[np.ndarray, list[str]]:
    """Positions of the factors with several values, and sentences on the others."""
    kept, single = np.flatnonzero(sizes > 1), np.flatnonzero(sizes < 2)
    if len(kept) < 2:
        raise NoScoresError(
            f"{dataset} has fewer than two factors that vary, which scores that "
            "compare codes with factors need: there are only scores that need none"
        )
    return kept, [
        f"{names[k]} has only one value and is left out of the scores"
        for k in single.tolist()
    ]
