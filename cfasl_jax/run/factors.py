"""Where metrics draw the images of a data set, by whatever factors it has."""

from collections.abc import Callable, Sequence

import numpy as np

from cfasl_jax import metrics
from cfasl_jax.data.dataset import Dataset, Labels
from cfasl_jax.data.grid import FactorGrid

# Images that are encoded where the factors are no full grid: draws are then among all
# rows of a table, so that each of its rows needs a code.
MOST_ROWS = 100_000

# int [n] -> codes [n, D]
Read = Callable[[np.ndarray], np.ndarray]
Sources = metrics.Grid | metrics.Table


class NoScoresError(ValueError):
    """A data set's factors allow no disentanglement score; says why."""


def factor_source(read: Read, dataset: Dataset) -> tuple[Sources, list[str]]:
    """Where metrics draw images, and sentences on what is left out.

    Args:
        read: codes of images by index.
        dataset: with a full grid of factors, with labels, or with neither.

    Raises:
        NoScoresError: where there are not two factors that vary.
    """
    if dataset.grid is not None:
        return _grid(read, dataset.grid, dataset.name)
    if dataset.labels is not None:
        return _table(read, dataset.labels, dataset.name)
    raise NoScoresError(
        f"{dataset.name} has no ground-truth factors: there are only scores that need "
        "none"
    )


def _grid(read: Read, grid: FactorGrid, name: str) -> tuple[metrics.Grid, list[str]]:
    sizes = np.asarray(grid.sizes)
    kept, left_out = _varying(sizes, grid.names, name)

    def encode(factors: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(factors), len(sizes)), np.int64)
        whole[:, kept] = factors
        return read(grid.indices(whole))

    return metrics.Grid(encode, sizes[kept]), left_out


def _table(read: Read, labels: Labels, name: str) -> tuple[metrics.Table, list[str]]:
    N, rows, left_out = len(labels.factors), np.arange(len(labels.factors)), []
    if N > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(N, MOST_ROWS, replace=False))
        left_out.append(f"scores are of {MOST_ROWS:,} random images of {N:,}")
    factors = labels.factors[rows]
    found = np.array([len(np.unique(column)) for column in factors.T])
    kept, sentences = _varying(found, labels.names, name)
    combinations = int(np.prod(found.astype(np.float64)))
    left_out.append(
        f"{name} is no full grid: {len(np.unique(factors, axis=0)):,} of the "
        f"{combinations:,} combinations of factor values occur, in {len(rows):,} "
        "images, so metrics that fix factors draw among those images"
    )
    return metrics.Table(read(rows), factors[:, kept]), left_out + sentences


def _varying(
    sizes: np.ndarray, names: Sequence[str], dataset: str
) -> tuple[np.ndarray, list[str]]:
    """Positions of the factors with several values, and a sentence on the others."""
    kept, single = np.flatnonzero(sizes > 1), np.flatnonzero(sizes < 2)
    if len(kept) < 2:
        raise NoScoresError(
            f"{dataset} has {len(kept)} factors that vary, and scores that compare "
            "codes with factors need 2: there are only scores that need none"
        )
    return kept, [
        f"{names[k]} has one value only and is left out of the scores"
        for k in single.tolist()
    ]
