"""SAP, separated attribute predictability (Kumar et al. 2018, arXiv 1711.00848)."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.intervals import (
    normal_interval,
    subsample_variance,
    training_variance,
)
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import (
    Points,
    draw_points,
    gaps,
    num_active,
    over_factors,
    require_dims,
)
from cfasl_jax.metrics.protocols import Protocol, get_protocol


def sap(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
    jobs: int | None = None,
) -> dict[str, Any]:
    """How much better one dimension predicts a factor than any other dimension does.

    SAP is the mean over factors of the difference between the two largest test
    accuracies among linear SVMs that read one dimension each (squared hinge loss, one
    against the rest, balanced classes, C = sap_c, solved in the primal, which has no
    randomness).

    Range 0 to 1, but only low values can be reached. For a factor with n values, a
    useless dimension is right 1/n of the time, so that binary factors score at most
    1/2; and a linear SVM on one dimension separates few of many ordered values. Codes
    equal to binary factors score 1/2. A constant scores 0, and so do codes with each
    dimension twice. A rotation, which makes dimensions equally good, scores near 0.

    Args:
        codes: float [N, D], D >= 2.
        factors: int [N, K].
        protocol: a Protocol or its name; sap_train and sap_test disjoint points.
        rng: source of randomness.
        jobs: number of factors to treat in parallel; None means one for each core.

    Returns:
        "sap" and the record of `metric.record`.

    Raises:
        ValueError: on bad arrays, fewer points than the protocol needs, or D = 1.
    """
    protocol = get_protocol(protocol)
    counts = (protocol.sap_train, protocol.sap_test)
    train, test = draw_points(codes, factors, counts, "SAP", rng)
    require_dims(train.codes, 2, "SAP compares two dimensions")

    def correct(fitted_on: Points) -> np.ndarray:
        def hits(k: int) -> np.ndarray:
            return _hits(fitted_on, test, k, protocol.sap_c)

        return np.stack(over_factors(hits, train.sizes, jobs), axis=-1)

    def score(rows: np.ndarray) -> float:
        return float(gaps(correct(train.take(rows)).mean(axis=0)).mean())

    found = correct(train)

    def gap(rows: np.ndarray) -> np.ndarray:
        return gaps(found[rows].mean(axis=0)).mean(axis=-1)

    of_factors = gaps(found.mean(axis=0))
    estimate = float(of_factors.mean())
    divisions, refits = protocol.bootstrap // 4, protocol.refits // 10
    variance = float(subsample_variance(gap, len(found), divisions, rng))
    variance += training_variance(score, train.factors, refits, rng)
    return record(
        protocol,
        rng,
        num_active(train.codes, protocol.prune_std),
        {"sap": estimate},
        {"sap": normal_interval(estimate, variance, protocol.confidence)},
        ("train and test points never overlap",),
        by_factor={"sap": of_factors},
    )


def _hits(train: Points, test: Points, k: int, c: float) -> np.ndarray:
    """Whether each dimension predicts factor k of a test point rightly, bool [n, D]."""
    from sklearn.svm import LinearSVC  # takes a second to import

    correct = np.empty(test.codes.shape, bool)
    for d in range(test.codes.shape[1]):
        model = LinearSVC(C=c, class_weight="balanced", dual=False)
        model.fit(train.codes[:, d : d + 1], train.factors[:, k])
        correct[:, d] = model.predict(test.codes[:, d : d + 1]) == test.factors[:, k]
    return correct


SAP = Metric(
    name="sap",
    compute=sap,
    reference="Kumar et al. 2018, arXiv:1711.00848",
    takes_jobs=True,
    counts=("sap_train", "sap_test"),
    scores=(
        Score(
            "sap",
            "SAP",
            "the gap in test accuracy between the two dimensions that, each alone, "
            "predict a factor best with a linear SVM; the mean over factors",
        ),
    ),
)
