"""InfoMEC: modularity, explicitness, compactness (Hsu et al. 2023, 2305.18378)."""

from typing import Any

import numpy as np

from cfasl_jax.metrics.information import entropy, neighbor_information
from cfasl_jax.metrics.intervals import (
    normal_interval,
    subsample_variance,
    training_variance,
)
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import (
    Points,
    draw_points,
    num_active,
    over_factors,
    standardized,
)
from cfasl_jax.metrics.protocols import Protocol, get_protocol

_JITTER = 1e-10

# Of the variance. The standard deviation from ten random divisions into thirds and
# sixths has an error of about a quarter, and is a little too small for InfoC if another
# dimension is the best one in each part. Measured over 80 sets of 10,000 points, 95% of
# the scores lie within 2.7 or 2.8 of it; Student's t with four degrees gives 2.8.
_FREEDOM = 4


def infomec(
    codes: np.ndarray,
    factors: np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Information-theoretic modularity (InfoM), explicitness (E) and compactness (C).

    With N[d, k] = I(c_d; v_k) / H(v_k), estimated by nearest neighbours, over the A
    active dimensions (whose range exceeds a share of the largest range),

        InfoM = (mean_d max_k N[d, k] / sum_k N[d, k] - 1/K) / (1 - 1/K),
        InfoC = (mean_k max_d N[d, k] / sum_d N[d, k] - 1/A) / (1 - 1/A),
        InfoE = mean_k (1 - h(v_k | c) / h(v_k)),

    where h(v | c) is the cross-entropy of an unregularised multinomial logistic
    regression and h(v) that of the training frequencies, both on held-out points (Hsu
    et al. use the training points).

    InfoM and InfoC range from 0 to 1; a dimension or factor without information counts
    as 0, and InfoC is 0 with fewer than 2 active dimensions. InfoE is at most 1 and can
    be negative. Codes equal to the factors score near 1 in InfoM and InfoC, and in
    InfoE as far as the regression can separate ordered values. A constant scores 0 in
    all. Codes with each dimension twice keep InfoM and InfoE and have an InfoC of (1/2
    - 1/A) / (1 - 1/A). A rotation lowers InfoM and InfoC and keeps InfoE.

    Args:
        codes: float [N, D].
        factors: int [N, K].
        protocol: a Protocol or its name; infomec_train and infomec_test points.
        rng: source of randomness.
        jobs: number of factors to treat in parallel; None means one for each core.

    Returns:
        "infom", "infoe", "infoc" and the record of `metric.record`. The intervals
        of InfoM and InfoC compare subsamples of the points.

    Raises:
        ValueError: on bad arrays or fewer points than the protocol needs.
    """
    protocol = get_protocol(protocol)
    counts = (protocol.infomec_train, protocol.infomec_test)
    train, test = draw_points(codes, factors, counts, "InfoMEC", rng)
    active = _wide(train.codes, protocol.infomec_active_share)
    jittered = _jittered(train.codes[:, active], rng)
    neighbors = protocol.infomec_neighbors

    def information(rows: np.ndarray) -> np.ndarray:
        return _information(jittered[rows], train.factors[rows], neighbors)

    def both(rows: np.ndarray) -> np.ndarray:
        shares = information(rows)
        return np.array([concentration(shares), concentration(shares.T)])

    count, confidence = len(train.codes), protocol.confidence
    shares = information(np.arange(count))
    infom, infoc = concentration(shares), concentration(shares.T)
    variances = subsample_variance(both, count, protocol.refits // 2, rng)
    explained, infoe_variance = _explained(train, test, protocol, rng, jobs)
    infoe = float(explained.mean())
    scores = {"infom": infom, "infoe": infoe, "infoc": infoc}
    intervals: dict[str, list[float] | None] = {
        "infom": normal_interval(infom, variances[0], confidence, freedom=_FREEDOM),
        "infoe": normal_interval(infoe, infoe_variance, confidence, (-np.inf, 1.0)),
        "infoc": normal_interval(infoc, variances[1], confidence, freedom=_FREEDOM),
    }
    notes = (
        f"{active.sum()} dimensions are active by their range",
        "train and test points never overlap",
    )
    varying = num_active(train.codes, protocol.prune_std)
    of_factors = {"infoe": explained, "infoc": concentrations(shares.T)}
    return record(
        protocol, rng, varying, scores, intervals, notes, by_factor=of_factors
    )


def _information(codes: np.ndarray, factors: np.ndarray, neighbors: int) -> np.ndarray:
    """I(c_d; v_k) / H(v_k), at least 0, of codes [n, A] and factors [n, K]: [A, K].

    A factor of one value has no entropy, and no information either.
    """
    shares = np.zeros((codes.shape[1], factors.shape[1]))
    for k, factor in enumerate(factors.T):
        bits = float(entropy(np.bincount(factor)))
        if bits > 0:
            for d, code in enumerate(codes.T):
                shares[d, k] = neighbor_information(code, factor, neighbors) / bits
    return np.maximum(shares, 0.0)


def _explained(
    train: Points,
    test: Points,
    protocol: Protocol,
    rng: np.random.Generator,
    jobs: int | None,
) -> tuple[np.ndarray, float]:
    """InfoE of each factor, [K], and the variance of their mean.

    The variance is due to the test points and to the training points.
    """
    scaled_train, scaled_test = (
        Points(standardized(part.codes, train.codes), part.factors, part.sizes)
        for part in (train, test)
    )

    def gains(rows: np.ndarray) -> np.ndarray:
        """The contributions of each factor and test point, [K, n]."""
        fitted_on, most = scaled_train.take(rows), protocol.infomec_max_iter

        def per_factor(k: int) -> np.ndarray:
            return _predictive_gain(fitted_on, scaled_test, k, most)

        return np.stack(over_factors(per_factor, train.sizes, jobs))

    found = gains(np.arange(len(train.codes)))
    of_points = found.mean(axis=0)
    variance = float(of_points.var(ddof=1)) / len(of_points)
    repeats = protocol.refits // 10
    variance += training_variance(
        lambda rows: float(gains(rows).mean()), train.factors, repeats, rng
    )
    return found.mean(axis=1), variance


def concentration(shares: np.ndarray) -> float:
    """Mean of `concentrations`; 0 if there are no rows."""
    return float(concentrations(shares).mean()) if len(shares) else 0.0


def concentrations(shares: np.ndarray) -> np.ndarray:
    """max / sum of each row [n, m], rescaled from 1/m ... 1 to 0 ... 1: [n].

    It is 0 for a row of zeros, and if there is only one column.
    """
    rows, columns = shares.shape
    if columns < 2:
        return np.zeros(rows)
    total = shares.sum(axis=1)
    share = shares.max(axis=1) / np.where(total > 0, total, 1.0)
    share = np.where(total > 0, share, 1 / columns)
    return (share - 1 / columns) / (1 - 1 / columns)


def _wide(codes: np.ndarray, share: float) -> np.ndarray:
    """Which dimensions of codes [n, D] exceed a share of the largest range: [D]."""
    spread = np.ptp(codes, axis=0)
    return spread > share * spread.max()


def _jittered(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Codes [n, D], each dimension scaled to unit variance, with ties broken."""
    scaled = codes / codes.std(axis=0)
    size = _JITTER * np.maximum(1.0, np.abs(scaled).mean(axis=0))
    return scaled + size * rng.standard_normal(scaled.shape)


def _predictive_gain(train: Points, test: Points, k: int, max_iter: int) -> np.ndarray:
    """1 - h(v_k | c) / h(v_k), split over test points: [n], its mean is the gain.

    A test point with a value that no training point has counts as 0.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    model = LogisticRegression(C=np.inf, max_iter=max_iter)
    model.fit(train.codes, train.factors[:, k])
    frequency = np.bincount(train.factors[:, k], minlength=train.sizes[k])
    # Neither model can predict a value that no training point has.
    seen = frequency[test.factors[:, k]] > 0
    target = np.searchsorted(model.classes_, test.factors[seen, k])
    chosen = model.predict_proba(test.codes[seen])[np.arange(len(target)), target]
    conditional = -np.log(np.maximum(chosen, np.finfo(np.float64).tiny))
    marginal = -np.log(frequency[test.factors[seen, k]] / frequency.sum())
    gain = np.zeros(len(seen))
    # A ratio of means, so that each value is weighted by its own cross-entropy.
    gain[seen] = (marginal - conditional) / marginal.mean()
    return gain


INFOMEC = Metric(
    name="infomec",
    compute=infomec,
    reference="Hsu et al. 2023, arXiv:2305.18378",
    takes_jobs=True,
    counts=("infomec_train", "infomec_test"),
    scores=(
        Score(
            "infom",
            "InfoM",
            "modularity: the largest share that one factor has of a dimension's mutual "
            "information with all factors; the mean over dimensions, rescaled so that "
            "equal shares give 0",
        ),
        Score(
            "infoe",
            "InfoE",
            "explicitness: the share of a factor's entropy that a linear classifier on "
            "all dimensions explains on test points; the mean over factors",
        ),
        Score(
            "infoc",
            "InfoC",
            "compactness: the largest share that one dimension has of all dimensions' "
            "mutual information with a factor; the mean over factors, rescaled so that "
            "equal shares give 0",
        ),
    ),
)
