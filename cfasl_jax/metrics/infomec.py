"""InfoMEC: modularity, explicitness, compactness (Hsu et al. 2023, 2305.18378)."""

from typing import Any

import chex
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cfasl_jax.metrics.information import entropy, neighbor_information
from cfasl_jax.metrics.intervals import mean_interval
from cfasl_jax.metrics.points import (
    Points,
    check_points,
    num_active,
    over_factors,
    record,
    split,
)
from cfasl_jax.metrics.protocols import Protocol, get_protocol

_JITTER = 1e-10


def infomec(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Information-theoretic modularity (InfoM), explicitness (E) and compactness (C).

    With N[d, k] = I(c_d; v_k) / H(v_k) by nearest neighbours, over active dimensions
    (range above a share of the largest range), A of them,

        InfoM = (mean_d max_k N[d, k] / sum_k N[d, k] - 1/K) / (1 - 1/K),
        InfoC = (mean_k max_d N[d, k] / sum_d N[d, k] - 1/A) / (1 - 1/A),
        InfoE = mean_k (1 - h(v_k | c) / h(v_k)),

    h(v | c) being the cross-entropy of an unregularised multinomial logistic regression
    and h(v) that of the training frequencies, both on held-out points (Hsu et al. use
    the training points).

    InfoM and InfoC range from 0 to 1; a dimension or factor without information counts
    as 0, and InfoC is 0 with fewer than 2 active dimensions. InfoE is at most 1 and can
    fall below 0. Codes equal to the factors score near 1 in M and C, and in E as far as
    the regression can tell ordered values apart; a constant scores 0 in all; each
    dimension twice keeps M and E and lowers C to (1/2 - 1/A) / (1 - 1/A); a rotation
    lowers M and C and keeps E.

    Args:
        codes: float [N, D].
        factors: int [N, K].
        protocol: a Protocol or its name; infomec_train and infomec_test points.
        rng: source of randomness.
        jobs: factors in parallel; None means one a core.

    Returns:
        "infom", "infoe", "infoc" and the record of `points.record`. InfoM and InfoC
        have no interval: resampled points would be each other's nearest neighbours.

    Raises:
        ValueError: on bad arrays or fewer points than the protocol needs.
    """
    protocol = get_protocol(protocol)
    points = check_points(codes, factors)
    counts = (protocol.infomec_train, protocol.infomec_test)
    train, test = split(points, counts, "InfoMEC", rng)
    normalized, per_point = _measure(train, test, protocol, rng, jobs)
    scores = {
        "infom": concentration(normalized),
        "infoe": float(per_point.mean()),
        "infoc": concentration(normalized.T),
    }
    bootstrap, bounds = (protocol.bootstrap, protocol.confidence), (-np.inf, 1.0)
    ends = mean_interval(rng, per_point, *bootstrap, bounds)
    intervals = {"infom": None, "infoe": ends, "infoc": None}
    notes = (
        f"{len(normalized)} dimensions are active by their range",
        "train and test points never overlap",
    )
    active = num_active(train.codes, protocol.prune_std)
    return record(protocol, rng, active, scores, intervals, notes)


def _measure(
    train: Points,
    test: Points,
    protocol: Protocol,
    rng: np.random.Generator,
    jobs: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Normalised information [A, K]; predictive gain of each test point [n]."""
    active = _wide(train.codes, protocol.infomec_active_share)
    jittered = _jittered(train.codes[:, active], rng)
    train, test = _standardized(train, test)

    def per_factor(k: int) -> tuple[np.ndarray, np.ndarray]:
        information = _information(jittered, train.factors[:, k], protocol)
        return information, _predictive_gain(train, test, k, protocol.infomec_max_iter)

    columns, gains = zip(*over_factors(per_factor, train.sizes, jobs), strict=True)
    return np.stack(columns, axis=1), np.mean(gains, axis=0)


def concentration(shares: np.ndarray) -> float:
    """Mean over rows [n, m] of max / sum, rescaled from 1/m ... 1 to 0 ... 1.

    A row of zeros counts as 0; so does everything if there are no rows or one column.
    """
    chex.assert_rank(shares, 2)
    rows, columns = shares.shape
    if rows == 0 or columns < 2:
        return 0.0
    total = shares.sum(axis=1)
    share = shares.max(axis=1) / np.where(total > 0, total, 1.0)
    share = np.where(total > 0, share, 1 / columns)
    return float((share.mean() - 1 / columns) / (1 - 1 / columns))


def _wide(codes: np.ndarray, share: float) -> np.ndarray:
    """Which dimensions of codes [n, D] exceed a share of the largest range: [D]."""
    spread = np.ptp(codes, axis=0)
    return spread > share * spread.max()


def _information(
    codes: np.ndarray, factor: np.ndarray, protocol: Protocol
) -> np.ndarray:
    """I(c_d; v) / H(v) of codes [n, A] and a factor [n]: [A]."""
    information = [
        neighbor_information(codes[:, d], factor, protocol.infomec_neighbors)
        for d in range(codes.shape[1])
    ]
    return np.array(information) / entropy(np.bincount(factor))


def _standardized(train: Points, test: Points) -> tuple[Points, Points]:
    """Codes scaled to mean 0 and variance 1 over the training points."""
    scaler = StandardScaler().fit(train.codes)
    return (
        Points(scaler.transform(train.codes), train.factors, train.sizes),
        Points(scaler.transform(test.codes), test.factors, test.sizes),
    )


def _jittered(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Codes [n, D], each dimension scaled to unit variance, with ties broken."""
    scaled = codes / codes.std(axis=0)
    size = _JITTER * np.maximum(1.0, np.abs(scaled).mean(axis=0))
    return scaled + size * rng.standard_normal(scaled.shape)


def _predictive_gain(train: Points, test: Points, k: int, max_iter: int) -> np.ndarray:
    """1 - h(v_k | c) / h(v_k), split over test points: [n], its mean is the gain."""
    model = LogisticRegression(C=np.inf, max_iter=max_iter)
    model.fit(train.codes, train.factors[:, k])
    frequency = np.bincount(train.factors[:, k], minlength=train.sizes[k])
    # A value that no training point has cannot be predicted, by neither model.
    seen = frequency[test.factors[:, k]] > 0
    target = np.searchsorted(model.classes_, test.factors[seen, k])
    chosen = model.predict_proba(test.codes[seen])[np.arange(len(target)), target]
    conditional = -np.log(np.maximum(chosen, np.finfo(np.float64).tiny))
    marginal = -np.log(frequency[test.factors[seen, k]] / frequency.sum())
    gain = np.zeros(len(seen))
    # As the ratio of means, so that a rare value weighs by its own surprise.
    gain[seen] = (marginal - conditional) / marginal.mean()
    return gain
