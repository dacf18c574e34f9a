"""Validation and splits of arrays of points, that is, of codes and factors."""

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import threadpoolctl

from cfasl_jax.errors import expanded

T = TypeVar("T")


class UnavailableError(ValueError):
    """A metric cannot be computed on these images under this protocol."""


@dataclasses.dataclass(frozen=True)
class Points:
    """Validated arrays.

    Attributes:
        codes: float64 [N, D].
        factors: int64 [N, K]; the values of factor k are 0 ... sizes[k] - 1.
        sizes: number of values of each factor that occur, length K.
    """

    codes: np.ndarray
    factors: np.ndarray
    sizes: tuple[int, ...]

    @property
    def num_factors(self) -> int:
        """K."""
        return len(self.sizes)

    def take(self, rows: np.ndarray) -> "Points":
        """The points of those rows, with the factor values labelled as here."""
        return Points(self.codes[rows], self.factors[rows], self.sizes)


def check_points(codes: np.ndarray, factors: np.ndarray) -> Points:
    """Validates codes [N, D] and integer factors [N, K]; relabels the factor values.

    Raises:
        ValueError: on wrong shapes or types, NaN or infinity, or fewer than 2 factors;
            an UnavailableError if a factor has only one value, as a rare one can have
            in a sample.
    """
    codes, factors = check_codes(codes), np.asarray(factors)
    if factors.ndim != 2 or 0 in factors.shape:
        raise ValueError(f"factors must have the shape [N, K], got {factors.shape}")
    if len(codes) != len(factors):
        raise ValueError(
            "codes and factors must have the same number of rows: "
            f"{len(codes)} and {len(factors)}"
        )
    if factors.dtype.kind not in "iu":
        raise ValueError(
            f"factors must be integers, got {factors.dtype}: number the values of each "
            "factor"
        )
    if factors.shape[1] < 2:
        raise ValueError("at least 2 factors are needed, got 1")
    labels = np.empty(factors.shape, np.int64)
    sizes = []
    for k in range(factors.shape[1]):
        values, labels[:, k] = np.unique(factors[:, k], return_inverse=True)
        if len(values) == 1:
            raise UnavailableError(
                f"factor {k} has only one value ({values[0]}) in these {len(codes):,} "
                "points: leave its column out"
            )
        sizes.append(len(values))
    return Points(codes, labels, tuple(sizes))


def draw_points(
    codes: np.ndarray,
    factors: np.ndarray,
    counts: tuple[int, ...],
    metric: str,
    rng: np.random.Generator,
) -> list[Points]:
    """Validated disjoint random subsets of the rows, of the given sizes.

    Raises:
        ValueError: on bad arrays, see `check_points`.
        UnavailableError: if there are too few points, or if the first subset holds only
            one value of some factor.
    """
    points, total = check_points(codes, factors), sum(counts)
    if len(points.codes) < total:
        raise UnavailableError(
            f"{metric} needs {total} points, got {len(points.codes)}"
        )
    rows = rng.permutation(len(points.codes))[:total]
    parts = [points.take(part) for part in np.split(rows, np.cumsum(counts)[:-1])]
    constant = np.flatnonzero(np.ptp(parts[0].factors, axis=0) == 0)
    if constant.size:
        raise UnavailableError(
            f"{metric} drew only one value of factor {constant[0]} "
            f"in {len(parts[0].codes)} points: the factor is too unbalanced"
        )
    return parts


# Rounding to float32 may move a code by this part of its standard deviation.
_MOST_MOVED = 0.01


def check_codes(codes: np.ndarray) -> np.ndarray:
    """Validates codes [N, D]: float64 [N, D].

    Raises:
        ValueError: on a wrong shape or type, or values that float32 does not hold or
            does not tell apart.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(f"codes must have the shape [N, D], got {codes.shape}")
    if codes.dtype.kind not in "fiub":
        raise ValueError(f"codes must be real numbers, got {codes.dtype}")
    bad = len(codes) - int(np.isfinite(codes).all(axis=1).sum())
    if bad:
        raise ValueError(f"codes must be finite: {bad} rows hold NaN or infinity")
    codes = codes.astype(np.float64)
    largest = np.abs(codes).max()
    if largest > np.finfo(np.float32).max:
        raise ValueError(
            "codes must fit into float32, whose largest number is 3.4e38: "
            f"the largest is {largest:.2g}"
        )
    # Numbers that are too small for float32 would be 0 there, and so would variances.
    codes[np.abs(codes) < np.finfo(np.float32).smallest_subnormal] = 0.0
    # Of a dimension that hardly varies beside others, nothing is lost by rounding.
    std, varies = codes.std(axis=0), np.ptp(codes, axis=0) > 0
    varies &= std > _MOST_MOVED * std.max()
    moved = np.abs(codes - codes.astype(np.float32)).max(axis=0)
    lost = np.flatnonzero(varies & (moved > _MOST_MOVED * std))
    if lost.size:
        raise ValueError(
            f"codes must fit into float32, which does not tell the values of dimension "
            f"{lost[0]} apart: subtract their mean, or scale them"
        )
    return codes


# Scores without factors compare thirds and sixths of the rows.
_LEAST_ROWS = 16


def require_rows(codes: np.ndarray) -> None:
    """Raises an UnavailableError if there are too few codes [N, D] without factors."""
    if len(codes) < _LEAST_ROWS:
        raise UnavailableError(
            f"scores without factors need at least {_LEAST_ROWS} rows of codes, got "
            f"{len(codes)}"
        )


def draw_codes(
    codes: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes of `count` random rows, or of all with a note if there are fewer.

    Raises:
        ValueError: on bad codes, see `check_codes`.
        UnavailableError: if there are fewer than 16.
    """
    codes = check_codes(codes)
    require_rows(codes)
    if len(codes) < count:
        return codes, (f"scores of {len(codes)} images, where {count} are asked for",)
    return codes[rng.permutation(len(codes))[:count]], ()


def covariance(codes: np.ndarray) -> np.ndarray:
    """Covariance matrix (ddof 1) of codes [n, D]: [D, D]; exactly 0 for constants."""
    moments = np.atleast_2d(np.cov(codes, rowvar=False))
    varies = np.ptp(codes, axis=0) > 0
    # The mean of equal numbers may be off by rounding.
    return np.where(varies & varies[:, None], moments, 0.0)


def gaps(values: np.ndarray) -> np.ndarray:
    """Difference of the two largest over dimensions: [..., D, K] -> [..., K]."""
    ordered = np.sort(values, axis=-2)
    return ordered[..., -1, :] - ordered[..., -2, :]


def require_dims(codes: np.ndarray, dims: int, why: str) -> None:
    """Raises an UnavailableError that says why if the codes have fewer dimensions."""
    found = codes.shape[1]
    if found < dims:
        raise UnavailableError(f"{why}, got codes of {found}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """One BLAS thread; no warnings of fits that end at the protocol's max_iter."""
    from sklearn.exceptions import ConvergenceWarning  # takes a second to import

    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def over_factors(
    task: Callable[[int], T], sizes: tuple[int, ...], jobs: int | None
) -> list[T]:
    """task(k) for each factor k, in parallel; factors with many values start first.

    It uses threads, since scikit-learn's trees and SVMs release Python's lock. Each has
    one BLAS thread, since with problems this small several would only wait for each
    other.
    """
    jobs = min(jobs or os.cpu_count() or 1, len(sizes))
    order = sorted(range(len(sizes)), key=lambda k: -sizes[k])
    with quiet(), ThreadPoolExecutor(jobs) as pool:
        done = dict(zip(order, pool.map(task, order), strict=True))
    return [done[k] for k in range(len(sizes))]


def standardized(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Values [n, D], scaled so that reference [m, D] has mean 0 and variance 1.

    Columns that are constant in the reference, up to rounding, are only centred.
    """
    mean, std = reference.mean(axis=0), reference.std(axis=0)
    constant = std <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    return (values - mean) / np.where(constant, 1.0, std)


def num_active(codes: np.ndarray, prune_std: float) -> int:
    """Number of dimensions of codes [n, D] with a standard deviation >= prune_std."""
    return int(active_mask(codes, prune_std).sum())


def active_mask(codes: np.ndarray, prune_std: float) -> np.ndarray:
    """Which dimensions of codes [n, D] vary (std, ddof 1, >= prune_std): bool [D]."""
    std = codes.std(axis=0, ddof=1, dtype=np.float64)
    # A threshold of 0 must not call a constant active: its variance divides later.
    return (std >= prune_std) & (np.ptp(codes, axis=0) > 0)


def load_array(path: str, what: str) -> np.ndarray:
    """Reads one .npy file.

    Raises:
        ValueError: if there is no such file or it does not hold one plain array.
    """
    place = expanded(path)
    if not place.is_file():
        raise ValueError(f"there is no file of {what} at {path!r}")
    try:
        array = np.load(place, allow_pickle=False)
    except Exception as error:  # A damaged file fails in many ways: zip, tokens, size.
        raise ValueError(f"{path} is not a .npy file of plain numbers") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} must hold one array (.npy), not several (.npz)")
    return array
