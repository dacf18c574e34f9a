"""The source from which metrics draw images, depending on the data set's factors."""

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
    combinations = int(np.prod(found.astype(np.float64)))
    left_out.append(
        f"{name} is not a full grid: {len(np.unique(factors, axis=0)):,} of the "
        f"{combinations:,} combinations of factor values occur, in {len(rows):,} "
        "images, so metrics that fix factors draw among those images"
    )
    images = metrics.Table(read(rows), factors[:, kept])
    names = [labels.names[k] for k in kept]
    return FactorSource(images, names, left_out + sentences)


def _varying(
    sizes: np.ndarray, names: Sequence[str], dataset: str
) -> tuple[np.ndarray, list[str]]:
    """Positions of the factors with several values, and sentences on the others."""
    kept, single = np.flatnonzero(sizes > 1), np.flatnonzero(sizes < 2)
    if len(kept) < 2:
        raise NoScoresError(
            f"{dataset} has {len(kept)} factors that vary, and scores that compare "
            "codes with factors need 2: there are only scores that need none"
        )
    return kept, [
        f"{names[k]} has only one value and is left out of the scores"
        for k in single.tolist()
    ]
