"""Confidence intervals of the scores of one run, and the summary of several runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import chdtri, ndtri, stdtrit


def resamples(rng: np.random.Generator, replicates: int, n: int) -> np.ndarray:
    """How often each of n points occurs in each bootstrap resample: int [R, n]."""
    return rng.multinomial(n, np.full(n, 1 / n), size=replicates)


def share_interval(
    share: float,
    variance: float,
    count: int,
    confidence: float,
    freedom: float = np.inf,
    typical: float | None = None,
    skewness: float = 0.0,
) -> list[float]:
    """Confidence interval [low, high] of a share of votes.

    This is Wilson's interval (1927) for the number of independent votes that would have
    the same variance (as Korn & Graubard 1998 do for complex samples). Unlike a normal
    interval, it has a positive width even if every vote is a hit, and stays within 0
    and 1. If only up to three of these votes are misses, the end on their side is that
    of the Poisson distribution, where Wilson's interval covers too seldom; the same
    holds for hits (Brown, Cai & DasGupta 2001, Statistical Science 16, section 4.1.1).

    Args:
        share: the estimate, from 0 to 1.
        variance: of the estimate. The variance of half a vote is used if it is larger,
            since nothing else is known if every vote is a hit.
        count: the number of votes.
        confidence: coverage.
        freedom: degrees of freedom of the variance (Student's t).
        typical: the share that the variance belongs to, if it is not this one but the
            mean of several. A share that is larger by luck would seem to come from
            more votes than there are.
        skewness: of the estimate's distribution. If a few draws give far smaller shares
            than the others, the interval must reach further up (Cornish & Fisher 1938).
    """
    inner = share if typical is None else typical
    inner = np.clip(inner, 0.5 / count, 1 - 0.5 / count)
    effective = inner * (1 - inner) / max(float(variance), 0.5 / count**2)
    z = _quantile(confidence, freedom)
    centre = (share + z**2 / (2 * effective)) / (1 + z**2 / effective)
    spread = share * (1 - share) / effective + (z / (2 * effective)) ** 2
    reach = z / (1 + z**2 / effective) * np.sqrt(spread)
    tilt = np.clip(skewness * (z - 1 / z) / 6, -_MOST_TILT, _MOST_TILT)
    fewest_hits, fewest_misses = (
        _fewest(part * effective, confidence) / effective for part in (share, 1 - share)
    )
    low = min(centre - (1 + tilt) * reach, fewest_hits)
    high = max(centre + (1 - tilt) * reach, 1 - fewest_misses)
    # Rounding must not leave a share of 0 or 1 outside.
    return [float(max(0.0, min(share, low))), float(min(1.0, max(share, high)))]


# An interval is at most three times as long on one side as on the other.
_MOST_TILT = 0.5

# Below this number of hits, their expected number has a Poisson distribution.
_FEW = 4


def _fewest(hits: float, confidence: float) -> float:
    """Lower end of the expected number of hits if there are few, else infinity."""
    if hits >= _FEW:
        return np.inf
    return float(chdtri(2 * hits, confidence)) / 2 if hits > 0 else 0.0


def common_variance(drawn: np.ndarray, groups: np.ndarray) -> float:
    """The part of a mean share's variance in which all votes change together.

    This is the part of the variance over replicates that independent changes of single
    votes do not explain. It does not decrease with the number of votes.

    Args:
        drawn: hits of the same votes in each replicate, bool [R, n].
        groups: int [n].
    """
    counts = np.bincount(groups)
    size = 1 / (counts[groups] * np.count_nonzero(counts))
    alone = np.sum(size**2 * drawn.var(axis=0, ddof=1))
    return max(float(np.var(drawn @ size, ddof=1) - alone), 0.0)


# A standard deviation from thirds and sixths of the same points, which share their
# extremes, has an error of about a fifth, like one with ten degrees of freedom.
SUBSAMPLES = 10


def subsample_variance(
    statistic: Callable[[np.ndarray], np.ndarray],
    count: int,
    repeats: int,
    rng: np.random.Generator,
    fastest: float = 0.25,
) -> np.ndarray:
    """Variance of statistics of points, from disjoint thirds and sixths of them.

    For any statistic, its variance over disjoint thirds has the variance of one third
    as its mean; the same holds for sixths. The factor between the variances of a third
    and of a sixth determines the factor between those of the whole and of a third: 1/3
    for a mean, 1/9 if only noise is measured, and nearly 1 for the range of the codes,
    on which histograms and IRS depend.

    The bootstrap would not do: its resamples have nearly the same range, and copies of
    a point are each other's nearest neighbours. Halves would not do either. A gap
    between two dimensions that are equally good in the whole is as large in one half
    as in the other, in the opposite direction, so that the halves seem to agree.

    Args:
        statistic: maps rows to [m] values.
        count: the number of points.
        repeats: the number of random divisions.
        rng: source of randomness.
        fastest: the smallest factor from a sixth to a third that is accepted: 1/2 if
            the variance can fall no faster than that of a mean.

    Returns:
        [m].
    """
    sixth = count // 6
    of_third, of_sixth = [], []
    for _ in range(max(repeats, 1)):
        rows = rng.permutation(count)[: 6 * sixth]
        thirds = [statistic(part) for part in np.split(rows, 3)]
        sixths = [statistic(part) for part in np.split(rows, 6)]
        of_third.append(np.var(thirds, axis=0, ddof=1))
        of_sixth.append(np.var(sixths, axis=0, ddof=1))
    third, small = np.mean(of_third, axis=0), np.mean(of_sixth, axis=0)
    factor = np.clip(third / np.where(small > 0, small, np.inf), fastest, 1.0)
    # A variance a/n + b is 6a + b for a sixth, 3a + b for a third, a + b for the whole;
    # a variance n**-p falls by the same factor each time that n is doubled.
    slow = (5 - 2 / factor) / 3
    return third * np.where(factor > 0.5, slow, factor ** np.log2(3))


def training_variance(
    statistic: Callable[[np.ndarray], float],
    factors: np.ndarray,
    repeats: int,
    rng: np.random.Generator,
) -> float:
    """The part of a test score's variance that is due to the training points.

    Half the squared difference between the scores of two models, fitted on disjoint
    halves of the training points and tested on the same points, has the variance due
    to one half as its mean; that due to all of them is taken to be half as large.

    Args:
        statistic: maps training rows to the score of a model that is fitted on them.
        factors: of the training points, int [n, K].
        repeats: the number of random divisions.
        rng: source of randomness.

    Returns:
        The variance; 0 without any division in which both halves have at least two
        values of each factor, as classifiers need.
    """
    squares = []
    for _ in range(repeats):
        halves = np.split(rng.permutation(len(factors))[: len(factors) // 2 * 2], 2)
        if all(np.ptp(factors[half], axis=0).all() for half in halves):
            first, second = map(statistic, halves)
            squares.append((first - second) ** 2)
    return float(np.mean(squares)) / 4 if squares else 0.0


def normal_interval(
    estimate: float,
    variance: float,
    confidence: float,
    bounds: tuple[float, float] = (0.0, 1.0),
    freedom: float = np.inf,
) -> list[float]:
    """Confidence interval [low, high] of an estimate that is normally distributed.

    Args:
        estimate: of the score.
        variance: of the estimate.
        confidence: coverage.
        bounds: of the score.
        freedom: degrees of freedom of the variance (Student's t), if it is not known
            but estimated: SUBSAMPLES for that of `subsample_variance`.
    """
    reach = _quantile(confidence, freedom) * np.sqrt(variance)
    return np.clip([estimate - reach, estimate + reach], *bounds).tolist()


def _quantile(confidence: float, freedom: float) -> float:
    """Quantile of the normal or of Student's distribution for a two-sided interval."""
    p = (1 + confidence) / 2
    return float(ndtri(p) if np.isinf(freedom) else stdtrit(freedom, p))


def aggregate(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Summary over runs that differ in their seed, from the results of `suite.score`.

    Args:
        results: one for each run, all of one protocol.

    Returns:
        score name -> {"mean", "std" (ddof 1), "interval", "runs", "chance" and, where
        runs have it, "by_factor", each factor's mean}; std and interval are None for
        one run. A score that some runs lack counts the others.

    Raises:
        ValueError: if there are no results, or if their protocols or grids differ.
    """
    protocols = sorted({result["protocol"] for result in results})
    if len(protocols) != 1:
        raise ValueError(
            "runs to summarise must share one protocol, got "
            f"{', '.join(protocols) or 'no runs'}"
        )
    for result in results:
        _require_comparable(result, results[0])
    names = dict.fromkeys(name for result in results for name in result["scores"])
    summary: dict[str, dict[str, Any]] = {}
    for name in names:
        entries = [r["scores"][name] for r in results if name in r["scores"]]
        values = np.array([entry["value"] for entry in entries])
        floors = [e["chance"] for e in entries if e["chance"] is not None]
        std, ends = spread(values, 0.95)
        summary[name] = {
            "mean": float(values.mean()),
            "std": std,
            "interval": None if ends is None else list(ends),
            "runs": len(values),
            "chance": float(np.mean(floors)) if floors else None,
        }
        if of_factors := [e["by_factor"] for e in entries if "by_factor" in e]:
            summary[name]["by_factor"] = _means(of_factors)
    return summary


def _means(rows: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The mean of each column, of the numbers that are known."""
    known = [[v for v in column if v is not None] for column in zip(*rows, strict=True)]
    return [float(np.mean(column)) if column else None for column in known]


def _require_comparable(result: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Raises a ValueError unless two results have the same protocol and grid.

    Only fields that both records have are compared, because a record that an earlier
    version stored may have other fields.
    """
    here, there = (r.get("protocol_fields", {}) for r in (result, first))
    differing = [name for name in here if there.get(name, here[name]) != here[name]]
    if result.get("sizes") != first.get("sizes"):
        differing.append("sizes")
    if differing:
        raise ValueError(
            f"runs to summarise must share one protocol: {', '.join(differing)} differ"
        )


def spread(
    values: np.ndarray, confidence: float
) -> tuple[float | None, tuple[float, float] | None]:
    """Standard deviation (ddof 1) of values [n], and Student's interval of their mean.

    Both are None for fewer than two values.
    """
    n = len(values)
    if n < 2:
        return None, None
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    reach = _quantile(confidence, n - 1) * deviation / math.sqrt(n)
    return deviation, (mean - reach, mean + reach)
