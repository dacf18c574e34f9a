"""Confidence intervals of one run by the bootstrap, and the summary of several runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import ndtri


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

    The quantiles of the replicates' deviations from their own mean are put around the
    estimate: plug-in information is biased upwards in a resample, once more than in the
    sample itself, and that shift must not move the interval.
    """
    tail = (1 - confidence) / 2
    deviation = np.quantile(replicates - replicates.mean(), [tail, 1 - tail])
    return np.clip(estimate + deviation, *bounds).tolist()


def share_interval(
    share: float, replicates: np.ndarray, count: int, confidence: float
) -> list[float]:
    """Confidence interval [low, high] of a share of votes.

    Wilson's interval (1927) for the number of independent votes that would vary as much
    as the replicates do (Korn & Graubard 1998 do so for complex samples). Unlike
    quantiles of the replicates it has a width where every vote, and so every replicate,
    is a hit.

    Args:
        share: the estimate, from 0 to 1.
        replicates: of the bootstrap, [R].
        count: the number of votes; the effective number is at most this.
        confidence: coverage.
    """
    inner = np.clip(share, 0.5 / count, 1 - 0.5 / count)
    variance = max(float(np.var(replicates, ddof=1)), inner * (1 - inner) / count)
    effective = inner * (1 - inner) / variance
    z = float(ndtri((1 + confidence) / 2))
    centre = (share + z**2 / (2 * effective)) / (1 + z**2 / effective)
    spread = share * (1 - share) / effective + (z / (2 * effective)) ** 2
    reach = z / (1 + z**2 / effective) * np.sqrt(spread)
    # Rounding must not leave a share of 0 or 1 outside.
    return [max(0.0, min(share, centre - reach)), min(1.0, max(share, centre + reach))]


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
        results: one a run, of one protocol.
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
    """Raises a ValueError unless two results are of one protocol and one grid.

    Only fields that both records have are compared: one that was stored by an earlier
    version may have fields that are gone by now, and lack others.
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
