"""Explicitness (Ridgeway & Mozer 2018, arXiv 1802.05312, section 3)."""

from typing import Any

import numpy as np
from scipy.special import expit

from cfasl_jax.metrics.estimators import logistic_regression, one_vs_rest
from cfasl_jax.metrics.intervals import interval, resamples
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import (
    UnavailableError,
    draw_points,
    num_active,
    over_factors,
    standardized,
)
from cfasl_jax.metrics.protocols import Protocol, get_protocol


def explicitness(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Whether a linear classifier reads each factor value from all dimensions together.

    Explicitness is the area under the ROC curve, on test points, of a logistic
    regression that tells one value of a factor from the rest (codes standardised by the
    training points, C = 1). The area is averaged over the values of a factor and over
    factors, and is not rescaled. Under `dlib` the points are ordered by the
    regression's probability divided by the sum of the probabilities of all values, as
    in disentanglement_lib. The regressions of the other values then help, and codes
    equal to a factor with many values score higher.

    Range 0 to 1, chance 1/2. Codes equal to binary factors score 1. With more values,
    those in the middle of an ordered factor cannot be linearly separated from the rest,
    so that even codes equal to the factors score less. A constant scores 1/2. Codes
    with each dimension twice, and rotated codes, score the same as the codes
    themselves.

    Args:
        codes: float [N, D].
        factors: int [N, K].
        protocol: a Protocol or its name; explicitness_train, explicitness_test points.
        rng: source of randomness.
        jobs: number of factors to treat in parallel; None means one for each core.

    Returns:
        "explicitness" and the record of `metric.record`.

    Raises:
        ValueError: on bad arrays or fewer points than the protocol needs.
    """
    protocol = get_protocol(protocol)
    counts = (protocol.explicitness_train, protocol.explicitness_test)
    train, test = draw_points(codes, factors, counts, "explicitness", rng)
    x_train, x_test = (standardized(p.codes, train.codes) for p in (train, test))
    once = np.ones((1, len(x_test)), np.int64)
    drawn = resamples(rng, protocol.bootstrap, len(x_test))
    weights = np.concatenate([once, drawn])

    def areas(k: int) -> np.ndarray:
        labels = (train.factors[:, k], test.factors[:, k])
        normalized = protocol.explicitness_normalized
        return _areas(x_train, x_test, *labels, weights, normalized)

    score, *replicates = np.mean(over_factors(areas, train.sizes, jobs), axis=0)
    estimate, drawn = float(score), np.array(replicates)
    if np.isnan(estimate):
        raise UnavailableError(
            f"explicitness drew only one value of some factor in "
            f"{protocol.explicitness_test} test points: the factor is too unbalanced"
        )
    # The area is undefined in a replicate without both values of a factor.
    ends = interval(estimate, drawn[~np.isnan(drawn)], protocol.confidence)
    return record(
        protocol,
        rng,
        num_active(train.codes, protocol.prune_std),
        {"explicitness": estimate},
        {"explicitness": ends},
        ("train and test points never overlap",),
    )


def _areas(
    x_train: np.ndarray,
    x_test: np.ndarray,
    y_train: np.ndarray,
    y_test: np.ndarray,
    weights: np.ndarray,
    normalized: bool,
) -> np.ndarray:
    """Mean test area over the values of one factor, for each weighting [R, n]: [R]."""
    model = one_vs_rest(logistic_regression()).fit(x_train, y_train)
    scores = np.asarray(model.decision_function(x_test))
    if scores.ndim == 1:  # One classifier serves both of two values.
        scores = np.stack([-scores, scores], axis=1)
    elif normalized:
        chance = expit(scores)
        scores = chance / chance.sum(axis=1, keepdims=True)
    each = [
        roc_area(scores[:, i], y_test == value, weights)
        for i, value in enumerate(model.classes_)
    ]
    known = ~np.isnan(each)
    total = np.where(known, each, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def roc_area(
    scores: np.ndarray, positive: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Area under the ROC curve for several weightings of the points.

    The probability that a positive scores higher than a negative; ties count half.

    Args:
        scores: [n].
        positive: bool [n].
        weights: [R, n], how often each point counts.

    Returns:
        [R]; NaN where there are no positives or no negatives.
    """
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(scores[negatives])]
    # Weight of the negatives up to each, in ascending order, with a 0 before the first.
    total = np.zeros((len(weights), len(negatives) + 1))
    np.cumsum(weights[:, negatives], axis=1, out=total[:, 1:])
    ascending, own = scores[negatives], scores[positive]
    below = total[:, np.searchsorted(ascending, own, side="left")]
    below = (below + total[:, np.searchsorted(ascending, own, side="right")]) / 2
    weight = weights[:, positive]
    pairs = weight.sum(axis=1) * total[:, -1]
    wins = (weight * below).sum(axis=1)
    return np.where(pairs > 0, wins / np.where(pairs > 0, pairs, 1.0), np.nan)


EXPLICITNESS = Metric(
    name="explicitness",
    compute=explicitness,
    reference="Ridgeway & Mozer 2018, arXiv:1802.05312",
    takes_jobs=True,
    counts=("explicitness_train", "explicitness_test"),
    scores=(
        Score(
            "explicitness",
            "explicitness",
            "the area under the ROC curve of a linear classifier that tells one value "
            "of a factor from the others, on test points; the mean over values and "
            "factors, 1/2 by chance",
        ),
    ),
)
