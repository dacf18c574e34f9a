"""Z-diff, the BetaVAE score (Higgins et al. 2017, ICLR, appendix A.4)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfasl_jax.metrics.intervals import common_variance, share_interval
from cfasl_jax.metrics.metric import Metric, Score, record
from cfasl_jax.metrics.points import (
    UnavailableError,
    num_active,
    quiet,
)
from cfasl_jax.metrics.protocols import Protocol, get_protocol
from cfasl_jax.metrics.sampling import (
    Encode,
    Source,
    as_source,
    confined,
    hold_out,
)
from cfasl_jax.metrics.votes import shares_by_group


def z_diff(
    encode: Encode | Source,
    sizes: Sequence[int] | np.ndarray,
    protocol: Protocol | str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Whether a linear classifier recognises the factor that two images share.

    A point is the mean of |c(x1) - c(x2)| over a batch of pairs. The two images of
    every pair of a point share the value of the same factor k (each pair another value)
    and are random otherwise. Z-diff is the accuracy, on new points, of the logistic
    regression that predicts k.

    Range 0 to 1, chance 1/K. Codes equal to the factors score 1, also with each
    dimension twice. A constant scores the share of one factor, near 1/K. A rotation
    lowers the score little, as the classifier reads all dimensions at once. The
    classifier is regularised, so that codes of a smaller scale score less. It is
    multinomial; that of scikit-learn before 0.22, with which disentanglement_lib's
    results were computed, has one binary classifier for each factor.

    Args:
        encode: int factors [n, K] -> codes [n, D] on the complete grid, or a source of
            `cfasl_jax.metrics.sampling`, such as Table(codes, factors).
        sizes: number of values of each factor, length K.
        protocol: a Protocol or its name.
        rng: source of randomness.

    Returns:
        "z_diff", "z_diff_train" (accuracy on the training points) and the record of
        `metric.record`.

    Raises:
        ValueError: if the source holds too few images that share a value.
    """
    protocol = get_protocol(protocol)
    source = confined(as_source(encode, sizes), protocol.z_diff_images, rng)
    train = protocol.z_diff_train
    total = train + protocol.z_diff_eval
    labels = rng.integers(0, len(source.sizes), total)

    def draw(chosen: np.ndarray) -> np.ndarray:
        fixed = np.eye(len(source.sizes), dtype=bool)[labels[chosen]]
        shape = (len(chosen), protocol.z_diff_batch)
        first = rng.integers(0, source.num_images, shape)
        fixed = np.repeat(fixed, protocol.z_diff_batch, axis=0)
        second = source.draw(rng, first.reshape(-1), fixed, 1, protocol.min_distinct)
        return np.concatenate([first, second.reshape(shape)], axis=1)

    codes = source.codes(hold_out(draw, total, train, "z-diff"))
    first, second = np.split(codes, 2, axis=1)
    points = np.abs(first - second).mean(axis=1, dtype=np.float64)
    every = np.arange(train)
    with quiet():
        correct = _correct(points, labels, every, protocol)
        ends = _interval(points, labels, correct[train:], protocol, rng)
    active = num_active(codes.reshape(-1, codes.shape[-1]), protocol.prune_std)
    scores = {"z_diff": correct[train:].mean(), "z_diff_train": correct[:train].mean()}
    return record(
        protocol,
        rng,
        active,
        scores,
        {"z_diff": ends, "z_diff_train": None},
        ("no test point repeats a training point",),
        by_factor={
            "z_diff": shares_by_group(
                correct[train:], labels[train:], len(source.sizes)
            )
        },
    )


def _correct(
    points: np.ndarray, labels: np.ndarray, rows: np.ndarray, protocol: Protocol
) -> np.ndarray:
    """Fits on some rows of points [n, D]; returns which are predicted: bool [n]."""
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    model = LogisticRegression(max_iter=protocol.z_diff_max_iter)
    if np.unique(labels[rows]).size < 2:
        raise UnavailableError(
            f"z-diff needs training points of at least 2 factors, got {len(rows)} "
            "of one"
        )
    model.fit(points[rows], labels[rows])
    return model.predict(points) == labels


def _interval(
    points: np.ndarray,
    labels: np.ndarray,
    correct: np.ndarray,
    protocol: Protocol,
    rng: np.random.Generator,
) -> list[float]:
    """Interval of the accuracy on test points, of which `correct` [m] are predicted.

    Its variance is that of the test points and of the classifier, which is fitted again
    on bootstrap resamples of the training points.
    """
    train, count = protocol.z_diff_train, len(correct)
    hits = [
        _correct(points, labels, rows, protocol)[train:]
        for rows in rng.integers(0, train, (protocol.refits, train))
        # A resample with only one factor cannot be fitted.
        if np.unique(labels[rows]).size > 1
    ]
    share = float(correct.mean())
    variance = share * (1 - share) / count
    if len(hits) > 1:
        variance += common_variance(np.array(hits), np.zeros(count, np.int64))
    return share_interval(share, variance, count, protocol.confidence)


Z_DIFF = Metric(
    name="z_diff",
    compute=z_diff,
    reference="Higgins et al. 2017, ICLR, appendix A.4",
    votes=True,
    floor_draws="chance_repeats_votes",
    limit="z_diff_images",
    scores=(
        Score(
            "z_diff",
            "z-diff",
            "the BetaVAE score: how often a linear classifier tells from the mean "
            "absolute difference of codes, over pairs of images that share one factor, "
            "which factor they share",
        ),
        Score(
            "z_diff_train",
            "z-diff on its training points",
            "z-diff, counted on the points that the classifier was fitted on",
            variant_of="z_diff",
        ),
    ),
)
