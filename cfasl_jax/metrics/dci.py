"""Disentanglement, completeness, informativeness (Eastwood & Williams 2018, ICLR)."""

from typing import Any

import numpy as np
from scipy.special import xlogy

from cfasl_jax.metrics.boosting import boost
from cfasl_jax.metrics.intervals import share_interval
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import (
    Points,
    draw_points,
    num_active,
    over_factors,
)
from cfasl_jax.metrics.protocols import Protocol, get_protocol

NOTES = ("train and test points never overlap",)
Fit = tuple[np.ndarray, np.ndarray, np.ndarray]


def dci(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Whether a dimension is used for one factor (D) and a factor needs one (C).

    R[d, k] is the importance of dimension d in the boosted trees (`boosting`) that
    predict factor k; P[d, k] = R[d, k] / sum_k R[d, k] and
    Q[d, k] = R[d, k] / sum_d R[d, k]. Then

        D = sum_d w_d (1 - H_K(P[d, :])),  w_d = sum_k R[d, k] / sum R,
        C = sum_k v_k (1 - H_D(Q[:, k])),  v_k = sum_d R[d, k] / sum R,

    where H_n is the entropy to base n. The informativeness I is the mean accuracy on
    test points over factors.

    Range 0 to 1. Codes equal to the factors score 1 in all three. A constant scores 0
    in D and C, and the share of the most frequent value in I. Codes with each dimension
    twice keep D = 1 and have a lower C if the trees use both copies. A rotation lowers
    D and C and keeps most of I.

    Args:
        codes: float [N, D].
        factors: int [N, K].
        protocol: a Protocol or its name; dci_train and dci_test disjoint points,
            dci_trees boosting stages.
        rng: source of randomness.
        jobs: number of factors to treat in parallel; None means one for each core. The
            result does not depend on it.

    Returns:
        "disentanglement", "completeness", "informativeness_train",
        "informativeness_test", "importance" (R as nested lists) and the record of
        `metric.record`. D and C have no interval, as trees are not fitted again:
        resampling the points behind each split's gain, with the splits held, gave 95%
        intervals that held the expected score in 76 to 96 of 100 simulated samples.

    Raises:
        ValueError: on bad arrays or fewer points than the protocol needs.
    """
    protocol = get_protocol(protocol)
    counts = (protocol.dci_train, protocol.dci_test)
    train, test = draw_points(codes, factors, counts, "DCI", rng)
    generators = rng.spawn(train.num_factors)

    def fit(k: int) -> Fit:
        return _fit(train, test, k, protocol, generators[k])

    fitted = zip(*over_factors(fit, train.sizes, jobs), strict=True)
    importance, train_hits, test_hits = (np.stack(a, axis=-1) for a in fitted)
    accuracy, of_points = test_hits.mean(axis=0), test_hits.mean(axis=1)
    scores = {
        "disentanglement": disentanglement(importance),
        "completeness": disentanglement(importance.T),
        "informativeness_train": float(train_hits.mean()),
        "informativeness_test": float(of_points.mean()),
    }
    n = len(of_points)
    ends = share_interval(
        scores["informativeness_test"], of_points.var() / n, n, protocol.confidence
    )
    intervals = {**dict.fromkeys(scores), "informativeness_test": ends}
    active = num_active(train.codes, protocol.prune_std)
    of_factors = {
        "completeness": concentrations(importance.T),
        "informativeness_test": accuracy,
    }
    result = record(
        protocol, rng, active, scores, intervals, NOTES, by_factor=of_factors
    )
    return {**result, "importance": importance.tolist()}


def _fit(
    train: Points, test: Points, k: int, protocol: Protocol, rng: np.random.Generator
) -> Fit:
    """Importances [D] for factor k; whether train and test points are predicted [n]."""
    labels, trees = train.factors[:, k], protocol.dci_trees
    fitted = boost(train.codes, labels, test.codes, trees, rng)
    test_hits = fitted.test == test.factors[:, k]
    return fitted.importance, fitted.train == labels, test_hits


def disentanglement(importance: np.ndarray) -> float:
    """D of importances [D, K], or C of their transpose; 0 if all of them are 0."""
    of_row = np.maximum(importance, 0.0).sum(axis=1)
    total = of_row.sum()
    return float(of_row @ concentrations(importance) / total) if total else 0.0


def concentrations(importance: np.ndarray) -> np.ndarray:
    """1 - H_m of each row of importances [n, m], [n]; 0 for a row of zeros."""
    # Importances that should be 0 may be -1e-17 by rounding.
    importance = np.maximum(importance, 0.0)
    count, of_row = importance.shape[1], importance.sum(axis=1)
    if count < 2:
        return np.zeros(len(importance))
    share = importance / np.where(of_row > 0, of_row, 1.0)[:, None]
    entropy = -xlogy(share, share).sum(axis=1) / np.log(count)
    return np.where(of_row > 0, 1 - entropy, 0.0)


DCI = Metric(
    name="dci",
    compute=dci,
    reference="Eastwood & Williams 2018, ICLR",
    takes_jobs=True,
    counts=("dci_train", "dci_test"),
    floor_draws="chance_repeats_dci",
    scores=(
        Score(
            "disentanglement",
            "DCI disentanglement",
            "how far each dimension is important, to boosted trees, for predicting one "
            "factor only",
        ),
        Score(
            "completeness",
            "DCI completeness",
            "how far the prediction of each factor, by boosted trees, rests on one "
            "dimension only",
        ),
        Score(
            "informativeness_train",
            "DCI informativeness on its training points",
            "DCI informativeness, counted on the points that the trees were fitted on",
            variant_of="informativeness_test",
        ),
        Score(
            "informativeness_test",
            "DCI informativeness",
            "the accuracy with which boosted trees predict the factors of test points; "
            "the mean over factors",
        ),
    ),
)
