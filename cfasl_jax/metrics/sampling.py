"""Sources of images for the votes and pairs of z-diff, FVM and m-FVM.

A source holds images and returns their codes. An image has an int64 id, which is its
index in the factor grid or its row in a table. `draw` picks images that share the
values of some factors with a given image, the anchor.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from cfasl_jax.metrics.points import UnavailableError, check_points

Encode = Callable[[np.ndarray], np.ndarray]
_ROUNDS = 100
_LARGEST = 2**62


class Grid:
    """All combinations of K factors, encoded on demand.

    Attributes:
        sizes: number of values of each factor, int64 [K].
        num_images: number of combinations.
    """

    def __init__(self, encode: Encode, sizes: Sequence[int] | np.ndarray):
        """Takes encode: int factors [n, K] -> codes [n, D]; and K >= 2 sizes."""
        self._encode = encode
        self.sizes = np.asarray(sizes, np.int64)
        if self.sizes.ndim != 1 or len(self.sizes) < 2 or np.any(self.sizes < 2):
            raise ValueError(
                "a grid needs at least 2 factors with at least 2 values each, "
                f"got the sizes {tuple(self.sizes.tolist())}"
            )
        self.num_images = math.prod(self.sizes.tolist())
        products = np.cumprod(np.append(self.sizes[1:], 1)[::-1])
        self._strides = products[::-1]

    def factors(self, ids: np.ndarray) -> np.ndarray:
        """Factor values of images: int64 [...] -> [..., K]."""
        return ids[..., None] // self._strides % self.sizes

    def codes(self, ids: np.ndarray) -> np.ndarray:
        """Codes of images: int64 [...] -> [..., D], in one call of encode."""
        codes = np.asarray(self._encode(self.factors(ids.reshape(-1))))
        if codes.ndim != 2 or len(codes) != ids.size:
            raise ValueError(
                f"encode must give codes [n, D] for n = {ids.size} images, "
                f"got the shape {codes.shape}"
            )
        with np.errstate(over="ignore"):
            single = codes.astype(np.float32, copy=False)
        if not np.isfinite(single).all():
            raise ValueError(
                "encode gave codes with NaN, infinity or numbers beyond float32"
            )
        return codes.reshape(*ids.shape, -1)

    def draw(
        self,
        rng: np.random.Generator,
        anchors: np.ndarray,
        fixed: np.ndarray,
        count: int,
        min_distinct: int,
    ) -> np.ndarray:
        """For each of n anchors, `count` images that share its fixed factors.

        Args:
            rng: source of randomness; images are drawn with replacement.
            anchors: ids [n].
            fixed: bool [n, K].
            count: images an anchor.
            min_distinct: fewest distinct images to draw from.

        Returns:
            ids [n, count].

        Raises:
            UnavailableError: if fixing those factors leaves fewer distinct images.
        """
        free = np.where(fixed, 1, self.sizes).prod(axis=1)
        if np.any(free < min_distinct):
            raise UnavailableError(
                _too_few(fixed[np.argmin(free)], free.min(), min_distinct)
            )
        values = self.factors(anchors)
        ids = np.zeros((len(anchors), count), np.int64)
        for k, (size, stride) in enumerate(zip(self.sizes, self._strides, strict=True)):
            drawn = rng.integers(0, size, ids.shape)
            ids += stride * np.where(fixed[:, k, None], values[:, k, None], drawn)
        return ids

    def with_codes(self, codes_of: Callable[[np.ndarray], np.ndarray]) -> "Grid":
        """The same grid with other codes, given by image: ids [n] -> codes [n, D]."""
        return Grid(lambda factors: codes_of(factors @ self._strides), self.sizes)


class Table:
    """Stored codes and factors of N images, such as codes of any other model.

    Images are drawn from the rows that share the fixed values. The fixed values are
    those of a random row, so that a value is fixed in proportion to the number of rows
    that have it. On a table of the complete grid, this is equivalent to Grid.

    Attributes:
        sizes: number of values of each factor that occur, int64 [K].
        num_images: N.
    """

    def __init__(self, codes: np.ndarray, factors: np.ndarray):
        """Takes codes [N, D] and int factors [N, K]; see `check_points` for errors."""
        points = check_points(codes, factors)
        self._codes, self._factors = points.codes, points.factors
        self.sizes = np.asarray(points.sizes, np.int64)
        self.num_images = len(points.codes)

    def factors(self, ids: np.ndarray) -> np.ndarray:
        """Factor values of rows: int64 [...] -> [..., K]."""
        return self._factors[ids]

    def codes(self, ids: np.ndarray) -> np.ndarray:
        """Codes of rows: int64 [...] -> [..., D]."""
        return self._codes[ids]

    def draw(
        self,
        rng: np.random.Generator,
        anchors: np.ndarray,
        fixed: np.ndarray,
        count: int,
        min_distinct: int,
    ) -> np.ndarray:
        """As `Grid.draw`.

        Raises:
            UnavailableError: if any combination of fixed values has fewer rows than
                min_distinct, whether or not an anchor has it.
        """
        ids = np.empty((len(anchors), count), np.int64)
        subsets, subset_of = np.unique(fixed, axis=0, return_inverse=True)
        for index, subset in enumerate(subsets):
            group, sizes, order = self._group(subset)
            if sizes.min() < min_distinct:
                raise UnavailableError(_too_few(subset, sizes.min(), min_distinct))
            chosen = np.flatnonzero(subset_of.reshape(-1) == index)
            mine = group[anchors[chosen]][:, None]
            starts = np.cumsum(sizes) - sizes
            offset = rng.integers(0, sizes[mine], (len(chosen), count))
            ids[chosen] = order[starts[mine] + offset]
        return ids

    def _group(self, subset: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Group of each row by its values of the subset; group sizes; rows by group."""
        group, span = np.zeros(self.num_images, np.int64), 1
        for k in np.flatnonzero(subset):
            size = int(self.sizes[k])
            if span * size > _LARGEST:
                group = np.unique(group, return_inverse=True)[1]
                span = self.num_images
            group, span = group * size + self._factors[:, k], span * size
        group = np.unique(group, return_inverse=True)[1]
        return group, np.bincount(group), np.argsort(group, kind="stable")

    def with_codes(self, codes_of: Callable[[np.ndarray], np.ndarray]) -> "Table":
        """The same rows with other codes, given by row: ids [n] -> codes [n, D]."""
        return Table(codes_of(np.arange(self.num_images)), self._factors)


class Samples:
    """Samples of posteriors: an image gets a new code each time it is asked for.

    The published code samples an image each time it encodes it, also where one vote
    holds it twice.

    Attributes:
        means: source of the posterior means.
        sizes: number of values of each factor, int64 [K].
        num_images: number of images.
    """

    def __init__(
        self, means: Grid | Table, deviations: Grid | Table, rng: np.random.Generator
    ):
        """Takes sources of the posteriors' means and standard deviations, and noise."""
        self.means, self._deviations, self._rng = means, deviations, rng
        self.sizes, self.num_images = means.sizes, means.num_images
        self.factors, self.draw = means.factors, means.draw

    def codes(self, ids: np.ndarray) -> np.ndarray:
        """New samples of images: int64 [...] -> [..., D]."""
        mean, deviation = self.means.codes(ids), self._deviations.codes(ids)
        return mean + deviation * self._rng.standard_normal(mean.shape)

    def stored(self, ids: np.ndarray) -> "Samples":
        """Samples of these images alone, whose posteriors are encoded now."""
        means, deviations = _table(self.means, ids), _table(self._deviations, ids)
        return Samples(means, deviations, self._rng)

    def seeded(self, rng: np.random.Generator) -> "Samples":
        """The same posteriors with other noise."""
        return Samples(self.means, self._deviations, rng)


Source = Grid | Table | Samples


def as_source(encode: Encode | Source, sizes: Sequence[int] | np.ndarray) -> Source:
    """A source as it is; a function that encodes factors becomes a Grid.

    Raises:
        ValueError: if a source has other sizes.
    """
    if not isinstance(encode, Source):
        return Grid(encode, sizes)
    if not np.array_equal(encode.sizes, np.asarray(sizes)):
        raise ValueError(
            f"the source has the factor sizes {tuple(encode.sizes.tolist())}, "
            f"not {tuple(np.asarray(sizes).tolist())}"
        )
    return encode


def limits(source: Source, count: int | None) -> bool:
    """Whether votes are confined to `count` images.

    Only a grid is confined, which saves encoding; a table already has its codes.
    """
    encoded = source.means if isinstance(source, Samples) else source
    on_demand = isinstance(encoded, Grid)
    return on_demand and count is not None and count < source.num_images


def confined(source: Source, count: int | None, rng: np.random.Generator) -> Source:
    """A source of `count` distinct random images, or all: see `limits`."""
    if not limits(source, count):
        return source
    ids = rng.choice(source.num_images, count, replace=False)
    return source.stored(ids) if isinstance(source, Samples) else _table(source, ids)


def _table(source: Grid | Table, ids: np.ndarray) -> Table:
    """A source of these images alone, int64 [n], which are encoded now."""
    return Table(source.codes(ids), source.factors(ids))


def hold_out(
    draw: Callable[[np.ndarray], np.ndarray], total: int, train: int, metric: str
) -> np.ndarray:
    """Draws votes, and redraws test votes that repeat a training vote.

    Two votes repeat each other if they hold the same set of images.

    Args:
        draw: vote numbers [n] -> ids [n, m]; each call draws again.
        total: number of votes.
        train: how many of them, the first ones, are for training.
        metric: named in errors.

    Returns:
        ids [total, m].

    Raises:
        UnavailableError: if there are too few distinct votes.
    """
    ids = draw(np.arange(total))
    known = _image_sets(ids[:train])
    pending = train + np.flatnonzero(np.isin(_image_sets(ids[train:]), known))
    for _ in range(_ROUNDS):
        if not pending.size:
            return ids
        ids[pending] = draw(pending)
        pending = pending[np.isin(_image_sets(ids[pending]), known)]
    raise UnavailableError(
        f"{metric} found too few images for held-out votes unlike the training votes"
    )


def _image_sets(ids: np.ndarray) -> np.ndarray:
    """One comparable key a row of ids [n, m], equal for equal sets of ids."""
    ids = np.sort(ids, axis=1)
    repeats = np.zeros(ids.shape, bool)
    repeats[:, 1:] = ids[:, 1:] == ids[:, :-1]
    ids = np.sort(np.where(repeats, -1, ids), axis=1)
    return np.ascontiguousarray(ids).view(np.dtype((np.void, ids.shape[1] * 8)))[:, 0]


def _too_few(subset: np.ndarray, found: int, needed: int) -> str:
    fixed = ", ".join(str(k) for k in np.flatnonzero(subset))
    return (
        f"with the factors {fixed} fixed, some values leave {found} distinct images, "
        f"{needed} are needed"
    )
