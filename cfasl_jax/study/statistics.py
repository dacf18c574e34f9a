"""Statistics of a study: an arm over its seeds, and two arms paired by seed.

A seed decides the initial weights, the images and the noise of a run, so that runs of
two arms with the same seed have much in common. Arms are therefore compared by their
differences seed by seed. If a run lacks a score (None), the run and its pair are left
out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from cfasl_jax.metrics.intervals import spread

CONFIDENCE = 0.95

# Sign flips are enumerated if there are at most this many (16 pairs); otherwise this
# many of them are drawn.
_FLIPS = 100_000


class Summary(NamedTuple):
    """One arm's values over seeds.

    Attributes:
        mean: None without any value.
        sd: standard deviation (ddof 1); None for fewer than two values.
        interval: of the mean, by Student's t; None for fewer than two values.
        n: how many values there are.
    """

    mean: float | None
    sd: float | None
    interval: tuple[float, float] | None
    n: int


class Difference(NamedTuple):
    """The difference of two arms, paired by seed.

    Attributes:
        mean: of the differences; None without any pair.
        interval: 95% interval of the mean, by Student's t; None below two pairs.
        p: of the sign-flip permutation test, two-sided; None below two pairs.
        n: how many pairs there are.
    """

    mean: float | None
    interval: tuple[float, float] | None
    p: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and 0 lies outside of it."""
        return self.interval is not None and not (
            self.interval[0] <= 0 <= self.interval[1]
        )


def summarise(values: Sequence[float | None]) -> Summary:
    """Mean, standard deviation and interval of the values that are not None."""
    known = np.array([value for value in values if value is not None], np.float64)
    if not known.size:
        return Summary(None, None, None, 0)
    return Summary(float(known.mean()), *spread(known, CONFIDENCE), known.size)


def paired_difference(
    first: Mapping[int, float | None], second: Mapping[int, float | None]
) -> Difference:
    """First minus second, over the seeds at which both have a value.

    Args:
        first: an arm's value by seed.
        second: the other arm's.
    """
    pairs = [(first[seed], second.get(seed)) for seed in sorted(first)]
    d = np.array([a - b for a, b in pairs if a is not None and b is not None])
    if not d.size:
        return Difference(None, None, None, 0)
    _, interval = spread(d, CONFIDENCE)
    return Difference(float(d.mean()), interval, sign_flip_p(d), d.size)


def sign_flip_p(differences: np.ndarray) -> float | None:
    """Two-sided p of the hypothesis that the differences [n] are symmetric about 0.

    It is the share of all 2^n choices of signs whose mean is at least as far from 0 as
    the observed mean. It is exact for up to 16 pairs; for more, 100,000 random choices
    are used. The smallest possible value is 2 / 2^n, which is .0625 for five pairs. The
    result is None for fewer than two pairs.
    """
    if len(differences) < 2:
        return None
    test = stats.permutation_test(
        (differences,),
        lambda d, axis: np.mean(d, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_FLIPS,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) adjusted p values, in the order given; None stays None.

    The i-th smallest of m values is multiplied by m - i + 1, and is never below a
    smaller one's result nor above 1. Rejecting where the adjusted value is at most 5%
    errs in any of the m hypotheses with a probability of at most 5%.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return adjusted
