"""Explicitness (Ridgeway & Mozer 2018, arXiv 1802.05312, section 3)."""

from typing import Any

import numpy as np
from scipy.special import expit, log_expit, logsumexp

from cfasl_jax.metrics.intervals import normal_interval, resamples
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
    x_train, x_test = (
        np.insert(standardized(part.codes, train.codes), 0, 1.0, axis=1)
        for part in (train, test)
    )
    once = np.ones((1, len(x_test)), np.int64)
    weights = np.concatenate([once, resamples(rng, protocol.bootstrap, len(x_test))])
    few = weights[: 1 + protocol.refits]
    again = resamples(rng, protocol.refits, len(x_train))

    def areas(k: int) -> np.ndarray:
        """Of factor k for each weighting of the test points, by the fit and refits."""
        values = _told_apart(train.factors[:, k])
        labels, positive = (p.factors[:, k, None] == values for p in (train, test))
        fitted, *refitted = regressions(x_train, labels, again)

        def area(coefficients: np.ndarray, weights: np.ndarray) -> np.ndarray:
            scores = _scores(x_test @ coefficients.T, protocol.explicitness_normalized)
            return _mean_area(scores, positive, weights)

        return np.concatenate(
            [area(fitted, weights), *(area(c, few) for c in refitted)]
        )

    of_factors = np.stack(over_factors(areas, train.sizes, jobs))
    found = of_factors.mean(axis=0)
    of_fit, of_refits = np.split(found, [1 + protocol.bootstrap])
    estimate = float(of_fit[0])
    if np.isnan(estimate):
        raise UnavailableError(
            f"explicitness drew only one value of some factor in "
            f"{protocol.explicitness_test} test points: the factor is too unbalanced"
        )
    of_refits = of_refits.reshape(protocol.refits, len(few))
    variance, freedom = _variance(of_fit[1:], of_refits)
    ends = normal_interval(estimate, variance, protocol.confidence, freedom=freedom)
    return record(
        protocol,
        rng,
        num_active(train.codes, protocol.prune_std),
        {"explicitness": estimate},
        {"explicitness": ends},
        ("train and test points never overlap",),
        by_factor={"explicitness": of_factors[:, 0]},
    )


def _variance(of_fit: np.ndarray, of_refits: np.ndarray) -> tuple[float, float]:
    """Variance of the score over training and test points, and degrees of freedom.

    If T, E and I are the parts due to the training points, to the test points and to
    their interaction, the score of given regressions on other test points varies by
    E + I, and that of other regressions on given test points by T + I. I is what is
    left of the variance in a table of both. In noise it is all there is: a direction
    that tells nothing apart scores 1/2 on average, whichever it is.

    Args:
        of_fit: areas for resampled test points, [B].
        of_refits: of refitted regressions, for the test points and for the first of
            the resampled ones, [R, 1 + M].
    """
    # The area is undefined in a replicate without both values of a factor.
    of_fit = of_fit[~np.isnan(of_fit)]
    table = of_refits[:, ~np.isnan(of_refits).any(axis=0)]
    test, training, both = of_fit.var(ddof=1), 0.0, 0.0
    R, M = len(table), table.shape[1] - 1
    if R > 1 and M > 1:
        training, table = table[:, 0].var(ddof=1), table[:, 1:]
        left = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True)
        both = np.square(left + table.mean()).sum() / ((R - 1) * (M - 1))
    variance = max(test + training - both, test, training)
    # Of the sum (Satterthwaite 1946): if the larger part is from few replicates, few.
    doubt = test**2 / (len(of_fit) - 1) + training**2 / max(R - 1, 1)
    return variance, variance**2 / doubt if doubt > 0 else np.inf


def _told_apart(labels: np.ndarray) -> np.ndarray:
    """The values that have a regression each: of two values, one does for both."""
    values = np.unique(labels)
    return values[1:] if len(values) <= 2 else values


def regressions(x: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Logistic regressions (C = 1) of several labels, and of resampled points.

    Those of resampled points are one Newton step from those of all points (one-step
    bootstrap, Schucany & Wang 1991), which takes far less time than fitting them.

    Args:
        x: [n, 1 + D], ones first, whose coefficient is not regularised.
        labels: bool [n, V].
        weights: [R, n], how often each point counts.

    Returns:
        Coefficients [1 + R, V, 1 + D].
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    found = np.empty((1 + len(weights), labels.shape[1], x.shape[1]))
    regularised = np.diag(np.arange(x.shape[1]) > 0).astype(np.float64)
    for v, label in enumerate(labels.T):
        model = LogisticRegression().fit(x[:, 1:], label)
        fitted = np.append(model.intercept_, model.coef_)
        chance = expit(x @ fitted)
        curvature = (x.T * (chance * (1 - chance))) @ x + regularised
        # The slope of the loss is zero where each point counts once.
        slopes = ((weights - 1) * (chance - label)) @ x
        found[0, v] = fitted
        found[1:, v] = fitted - np.linalg.solve(curvature, slopes.T).T
    return found


def _scores(logits: np.ndarray, normalized: bool) -> np.ndarray:
    """What the points are ordered by, [n, V]; normalised over three values or more."""
    if not normalized or logits.shape[1] < 2:
        return logits
    # The logarithm orders the points likewise and does not underflow.
    chance = log_expit(logits)
    return chance - logsumexp(chance, axis=1, keepdims=True)


def _mean_area(
    scores: np.ndarray, positive: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Mean over V values of the area, scores [n, V]: [R]; NaN if none is known."""
    each = np.empty((positive.shape[1], len(weights)))
    for v, (score, label) in enumerate(zip(scores.T, positive.T, strict=True)):
        each[v] = roc_area(score, label, weights)
    known = ~np.isnan(each)
    total, count = (np.sum(a, axis=0) for a in (np.where(known, each, 0.0), known))
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
