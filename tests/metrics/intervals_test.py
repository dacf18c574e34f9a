import numpy as np
import pytest
from scipy import stats

from cfasl_jax.metrics import aggregate
from cfasl_jax.metrics.intervals import (
    SUBSAMPLES,
    normal_interval,
    resamples,
    share_interval,
    subsample_variance,
    training_variance,
)


def result(value, chance=0.1, protocol="dlib"):
    entry = {"value": value, "interval": None, "chance": chance}
    return {"protocol": protocol, "scores": {"mig": entry}}


def test_resamples_keep_the_number_of_points():
    weights = resamples(np.random.default_rng(0), 500, 40)
    assert weights.shape == (500, 40)
    assert np.all(weights.sum(axis=1) == 40)
    assert weights.mean(axis=0) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("count", [100, 200])
@pytest.mark.parametrize("truth", [0.9, 0.97, 0.99, 0.997, 0.9985, 0.9995])
@pytest.mark.parametrize("variance_of", ["this share", "the expected share"])
def test_interval_of_a_share_covers_where_nearly_all_votes_are_hits(
    count, truth, variance_of
):
    hits = np.arange(count + 1)
    ends = []
    for x in hits:
        share, typical = x / count, None if variance_of == "this share" else truth
        p = share if typical is None else typical
        variance = p * (1 - p) / count
        ends.append(share_interval(share, variance, count, 0.95, typical=typical))
    ends = np.array(ends)
    chance = stats.binom.pmf(hits, count, truth)
    for inside in (truth, 1 - truth):
        covered = (ends[:, 0] <= inside) & (inside <= ends[:, 1])
        weights = chance if inside == truth else chance[::-1]
        assert 0.92 <= weights[covered].sum() <= 0.999


def test_interval_of_a_share_with_few_misses_ends_where_poisson_says():
    low, high = share_interval(0.99, 0.99 * 0.01 / 100, 100, 0.95)
    # One event or more, of which so many are expected, has a chance of 5%.
    assert 100 * (1 - high) == pytest.approx(-np.log(0.95))
    assert low == pytest.approx(0.9455, abs=1e-4)  # Wilson's
    assert share_interval(1.0, 0.0, 100, 0.95)[1] == 1.0
    assert share_interval(0.0, 0.0, 100, 0.95)[0] == 0.0


@pytest.mark.parametrize("skewed", [False, True])
def test_interval_of_a_share_with_a_long_tail_errs_equally_often_on_both_sides(skewed):
    shares = 0.5 - 0.003 * stats.gamma(2).rvs(4000, random_state=0)
    variance, skewness = 2 * 0.003**2, -np.sqrt(2) if skewed else 0.0
    ends = np.array(
        [share_interval(s, variance, 10**6, 0.95, skewness=skewness) for s in shares]
    )
    expected = 0.5 - 2 * 0.003
    too_low = np.mean(ends[:, 1] < expected)
    too_high = np.mean(ends[:, 0] > expected)
    if skewed:
        assert 0.01 < too_low < 0.03
        assert 0.01 < too_high < 0.03
    else:
        assert too_low > 0.04
        assert too_high == 0


def test_interval_of_a_share_is_wider_if_its_variance_is_uncertain():
    low, high = share_interval(0.5, 0.0025, 100, 0.95)
    lower, higher = share_interval(0.5, 0.0025, 100, 0.95, freedom=10)
    assert lower < low - 0.005
    assert higher > high + 0.005


def test_variance_of_a_mean_from_its_thirds_and_sixths():
    values = np.random.default_rng(0).standard_normal((600, 400))
    found = subsample_variance(
        lambda rows: values[rows].mean(axis=0), 600, 50, np.random.default_rng(1)
    )
    # The whole is extrapolated from parts by a factor that is uncertain itself.
    assert 0.95 / 600 < found.mean() < 1.25 / 600


def test_the_gap_between_two_equal_dimensions_has_a_variance():
    """Halves of a sample without any gap have equal gaps and would show no variance."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((600, 600))
    gaps = np.abs(values.mean(axis=0))
    variances = subsample_variance(
        lambda rows: np.abs(values[rows].mean(axis=0)), 600, 50, rng
    )
    ends = [
        normal_interval(gap, variance, 0.95, freedom=SUBSAMPLES)
        for gap, variance in zip(gaps, variances, strict=True)
    ]
    covered = [low <= gaps.mean() <= high for low, high in ends]
    # 73% with halves and quarters.
    assert np.mean(covered) > 0.85


def test_variance_due_to_the_training_points_of_a_mean():
    values = np.random.default_rng(0).standard_normal((200, 500))
    factors = np.arange(200)[:, None] % 4
    found = np.mean(
        [
            training_variance(lambda rows, v=v: v[rows].mean(), factors, 2, rng)
            for v, rng in zip(
                values.T, np.random.default_rng(1).spawn(500), strict=True
            )
        ]
    )
    assert found == pytest.approx(1 / 200, rel=0.15)


def test_no_classifier_is_fitted_to_half_of_the_points_with_one_value_of_a_factor():
    factors = np.array([[0, 0], [0, 1], [0, 2], [1, 3]])
    rng = np.random.default_rng(0)
    assert training_variance(pytest.fail, factors, 10, rng) == 0.0


def test_aggregate_of_several_seeds():
    values = [0.2, 0.3, 0.7]
    summary = aggregate([result(value) for value in values])["mig"]
    assert summary["mean"] == pytest.approx(0.4)
    assert summary["std"] == pytest.approx(np.sqrt(0.07))
    error = np.sqrt(0.07 / 3)
    expected = stats.t.interval(0.95, 2, loc=0.4, scale=error)
    assert summary["interval"] == pytest.approx(list(expected))
    assert summary["runs"] == 3
    assert summary["chance"] == pytest.approx(0.1)


def test_aggregate_of_one_run_has_no_spread():
    summary = aggregate([result(0.2, chance=None)])["mig"]
    assert summary == {
        "mean": 0.2,
        "std": None,
        "interval": None,
        "runs": 1,
        "chance": None,
    }


def test_aggregate_counts_the_runs_that_have_a_score():
    other = {"protocol": "dlib", "scores": {}}
    assert aggregate([result(0.2), other, result(0.4)])["mig"]["runs"] == 2


def test_aggregate_of_values_by_factor_takes_those_there_are():
    runs = [result(0.2), result(0.4), result(0.6)]
    runs[0]["scores"]["mig"]["by_factor"] = [0.1, 0.3, None]
    runs[2]["scores"]["mig"]["by_factor"] = [0.2, None, None]
    found = aggregate(runs)["mig"]["by_factor"]
    assert found == [pytest.approx(0.15), 0.3, None]
    assert "by_factor" not in aggregate(runs[1:2])["mig"]


def test_aggregate_refuses_mixed_protocols_and_nothing():
    with pytest.raises(ValueError, match="share one protocol, got dlib, fast"):
        aggregate([result(0.2), result(0.2, protocol="fast")])
    with pytest.raises(ValueError, match="got no runs"):
        aggregate([])
