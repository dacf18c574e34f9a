import numpy as np
import pytest
from scipy import stats

from cfasl_jax.metrics import aggregate
from cfasl_jax.metrics.intervals import interval, mean_interval, resamples


def result(value, chance=0.1, protocol="dlib"):
    entry = {"value": value, "interval": None, "chance": chance}
    return {"protocol": protocol, "scores": {"mig": entry}}


def test_resamples_keep_the_number_of_points():
    weights = resamples(np.random.default_rng(0), 500, 40)
    assert weights.shape == (500, 40)
    assert np.all(weights.sum(axis=1) == 40)
    assert weights.mean(axis=0) == pytest.approx(1.0, abs=0.25)


def test_interval_of_a_share_is_near_the_normal_one():
    outcomes = np.arange(400) < 100
    low, high = mean_interval(np.random.default_rng(0), outcomes, 4000, 0.95)
    reach = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert (low, high) == pytest.approx((0.25 - reach, 0.25 + reach), abs=0.005)


def test_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = mean_interval(random, random.random(100) < 0.3, 200, 0.9)
        hits += low <= 0.3 <= high
    assert hits / 200 == pytest.approx(0.9, abs=0.06)


def test_a_shift_of_the_replicates_does_not_move_the_interval():
    spread = np.linspace(-0.1, 0.1, 101)
    found = interval(0.5, 0.7 + spread, 0.9)
    assert found == pytest.approx([0.41, 0.59])
    assert interval(0.95, spread, 0.9) == pytest.approx([0.86, 1.0])


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


def test_aggregate_refuses_mixed_protocols_and_nothing():
    with pytest.raises(ValueError, match="share one protocol, got dlib, fast"):
        aggregate([result(0.2), result(0.2, protocol="fast")])
    with pytest.raises(ValueError, match="got no runs"):
        aggregate([])
