"""Confidence intervals of the scores of one run, and the summary of several runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import ndtri, stdtrit


def resamples(rng: np.random.Generator, replicates: int, n: int) -> np.ndarray:
    """How often each of n points occurs in each bootstrap resample: int [R, n]."""
    return rng.multinomial(n, np.full(n, 1 / n), size=replicates)


def interval(
    estimate: float,
    replicates: np.ndarray,
    confidence: float,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> list[float]:
    """Confidence interval [low, high] of an estimate from its bootstrap replicates [R].

    The interval is the estimate plus quantiles of the replicates' deviations from their
    own mean. Deviations from the estimate would not do: plug-in information is biased
    upwards in a resample in addition to its bias in the sample itself, and this shift
    must not move the interval.
    """
    tail = (1 - confidence) / 2
    deviation = np.quantile(replicates - replicates.mean(), [tail, 1 - tail])
    return np.clip(estimate + deviation, *bounds).tolist()


def share_interval(
    share: float, variance: float, count: int, confidence: float
) -> list[float]:
    """Confidence interval [low, high] of a share of votes.

    This is Wilson's interval (1927) for the number of independent votes that would have
    the same variance (as Korn & Graubard 1998 do for complex samples). Unlike a normal
    interval, it has a positive width even if every vote is a hit, and stays within 0
    and 1.

    Args:
        share: the estimate, from 0 to 1.
        variance: of the estimate. The variance of half a vote is used if it is larger,
            since nothing else is known if every vote is a hit.
        count: the number of votes.
        confidence: coverage.
    """
    inner = np.clip(share, 0.5 / count, 1 - 0.5 / count)
    effective = inner * (1 - inner) / max(float(variance), 0.5 / count**2)
    z = float(ndtri((1 + confidence) / 2))
    centre = (share + z**2 / (2 * effective)) / (1 + z**2 / effective)
    spread = share * (1 - share) / effective + (z / (2 * effective)) ** 2
    reach = z / (1 + z**2 / effective) * np.sqrt(spread)
    # Rounding must not leave a share of 0 or 1 outside.
    low, high = min(share, centre - reach), max(share, centre + reach)
    return [float(max(0.0, low)), float(min(1.0, high))]


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


# A standard deviation from halves and quarters of the same points, which share their
# extremes, has an error of about a fifth, like one with ten degrees of freedom.
SUBSAMPLES = 10


def subsample_variance(
    statistic: Callable[[np.ndarray], np.ndarray],
    count: int,
    repeats: int,
    rng: np.random.Generator,
    fastest: float = 0.25,
) -> np.ndarray:
    """Variance of statistics of points, from disjoint halves and quarters of them.

    For any statistic, half the squared difference between two disjoint halves has the
    variance of one half as its mean; the same holds for quarters. The factor between
    the variances of a half and of a quarter determines the factor between those of the
    whole and of a half: 1/2 for a mean, 1/4 if only noise is measured, and nearly 1 for
    the range of the codes, on which histograms and IRS depend. The bootstrap would not
    do: its resamples have nearly the same range, and copies of a point are each other's
    nearest neighbours.

    Args:
        statistic: maps rows to [m] values.
        count: the number of points.
        repeats: the number of random divisions.
        rng: source of randomness.
        fastest: the smallest factor from a half to the whole that is accepted.

    Returns:
        [m].
    """
    quarter = count // 4
    of_half, of_quarter = [], []
    for _ in range(max(repeats, 1)):
        rows = rng.permutation(count)[: 4 * quarter]
        halves = [statistic(part) for part in np.split(rows, 2)]
        quarters = [statistic(part) for part in np.split(rows, 4)]
        of_half.append(np.var(halves, axis=0, ddof=1))
        of_quarter.append(np.var(quarters, axis=0, ddof=1))
    half, fourth = np.mean(of_half, axis=0), np.mean(of_quarter, axis=0)
    factor = half / np.where(fourth > 0, fourth, np.inf)
    # A variance a/n + b is 4a + b for a quarter, 2a + b for a half, a + b for the
    # whole.
    slow = 1.5 - 0.5 / np.maximum(factor, 0.5)
    return half * np.clip(np.where(factor > 0.5, slow, factor), fastest, 1.0)


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
    p = (1 + confidence) / 2
    quantile = ndtri(p) if np.isinf(freedom) else stdtrit(freedom, p)
    reach = float(quantile) * np.sqrt(variance)
    return np.clip([estimate - reach, estimate + reach], *bounds).tolist()


def mean_interval(
    rng: np.random.Generator,
    outcomes: np.ndarray,
    replicates: int,
    confidence: float,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> list[float]:
    """Bootstrap interval of the mean of outcomes [n], such as hits and misses."""
    weights = resamples(rng, replicates, len(outcomes))
    means = weights @ outcomes.astype(np.float64) / len(outcomes)
    return interval(float(outcomes.mean()), means, confidence, bounds)


def aggregate(
    results: Sequence[Mapping[str, Any]], confidence: float = 0.95
) -> dict[str, dict[str, Any]]:
    """Summary over runs that differ in their seed, from the results of `suite.score`.

    Args:
        results: one for each run, all of one protocol.
        confidence: coverage of the interval of the mean (Student's t).

    Returns:
        score name -> {"mean", "std" (ddof 1), "interval", "runs", "chance"}; std and
        interval are None for one run. A score that some runs lack counts the others.

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
    summary = {}
    for name in names:
        entries = [r["scores"][name] for r in results if name in r["scores"]]
        values = np.array([entry["value"] for entry in entries])
        floors = [e["chance"] for e in entries if e["chance"] is not None]
        std, ends = _spread(values, confidence)
        summary[name] = {
            "mean": float(values.mean()),
            "std": std,
            "interval": ends,
            "runs": len(values),
            "chance": float(np.mean(floors)) if floors else None,
        }
    return summary


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


def _spread(
    values: np.ndarray, confidence: float
) -> tuple[float | None, list[float] | None]:
    """Standard deviation (ddof 1) and interval of the mean; None for one value."""
    if len(values) < 2:
        return None, None
    std = float(values.std(ddof=1))
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1))
    reach = quantile * std / np.sqrt(len(values))
    return std, [float(values.mean() - reach), float(values.mean() + reach)]
