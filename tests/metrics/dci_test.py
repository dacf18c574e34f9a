import dataclasses

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY
from scipy.stats import binomtest
from sklearn.ensemble import GradientBoostingClassifier

from cfasl_jax.metrics import dci
from cfasl_jax.metrics.dci import disentanglement

FACTORS = reference.grid((4, 4, 4, 4))


def score(codes, factors=FACTORS, protocol=TINY):
    return dci(codes, factors, protocol, reference.rng(), jobs=1)


def test_perfect_codes_score_one():
    protocol = dataclasses.replace(TINY, dci_trees=20)
    result = score(reference.perfect(FACTORS), protocol=protocol)
    assert result["disentanglement"] == pytest.approx(1.0, abs=0.05)
    assert result["completeness"] == pytest.approx(1.0, abs=0.05)
    assert result["informativeness_test"] == 1.0
    np.testing.assert_allclose(result["importance"], np.eye(4), atol=0.05)


def test_constant_codes_score_zero_and_know_the_most_frequent_value():
    result = score(reference.constant(FACTORS))
    assert result["disentanglement"] == 0.0
    assert result["completeness"] == 0.0
    rows = reference.rng().permutation(256)
    shares = []
    for k in range(4):
        values, counts = np.unique(FACTORS[rows[:160], k], return_counts=True)
        common = values[counts == counts.max()]
        shares.append([np.mean(FACTORS[rows[160:], k] == value) for value in common])
    low, high = np.mean([min(s) for s in shares]), np.mean([max(s) for s in shares])
    assert low <= result["informativeness_test"] <= high


def test_duplicated_codes_stay_disentangled_and_lose_completeness():
    single = score(reference.perfect(FACTORS))
    double = score(reference.duplicated(FACTORS))
    assert double["disentanglement"] > 0.9
    assert double["completeness"] < single["completeness"] - 0.05


def test_rotation_and_noise_score_low():
    assert score(reference.rotated(FACTORS))["disentanglement"] < 0.6
    assert score(reference.noise(FACTORS))["disentanglement"] < 0.2


def test_agrees_with_the_plain_loop():
    # So many points, and so few stages, that no two splits are equally good.
    factors = np.tile(FACTORS, (4, 1))
    codes = reference.mixed(factors) + 0.5 * reference.rng(3).normal(size=(1024, 5))
    protocol = dataclasses.replace(TINY, dci_train=819, dci_test=205, dci_trees=2)
    result = score(codes, factors, protocol)
    rows = reference.rng().permutation(1024)
    train, test = rows[:819], rows[819:]
    columns, train_hits, test_hits = [], [], []
    for k in range(4):
        model = GradientBoostingClassifier(n_estimators=2, random_state=k)
        model.fit(codes[train], factors[train, k])
        columns.append(model.feature_importances_.tolist())
        train_hits.append(model.score(codes[train], factors[train, k]))
        test_hits.append(model.score(codes[test], factors[test, k]))
    np.testing.assert_allclose(result["importance"], np.transpose(columns), atol=1e-9)
    rows = np.transpose(columns).tolist()
    assert result["disentanglement"] == pytest.approx(reference.disentanglement(rows))
    assert result["completeness"] == pytest.approx(reference.disentanglement(columns))
    assert result["informativeness_train"] == pytest.approx(np.mean(train_hits))
    assert result["informativeness_test"] == pytest.approx(np.mean(test_hits))


def test_intervals_are_of_what_needs_no_refit():
    intervals = score(reference.mixed(FACTORS))["intervals"]
    low, high = intervals.pop("informativeness_test")
    assert 0 < low < high < 1
    assert set(intervals.values()) == {None}


def test_informativeness_of_one_factor_has_the_interval_of_wilson():
    twice = FACTORS[:, [0, 0]]
    codes = twice + reference.rng().normal(size=twice.shape)
    found = score(codes, twice)
    hits = found["informativeness_test"] * TINY.dci_test
    assert 0.2 * TINY.dci_test < hits < 0.9 * TINY.dci_test
    assert hits == pytest.approx(round(hits))
    wilson = binomtest(round(hits), TINY.dci_test).proportion_ci(method="wilson")
    ends = found["intervals"]["informativeness_test"]
    assert ends == pytest.approx([wilson.low, wilson.high], abs=1e-3)


@pytest.mark.parametrize(
    ("importance", "expected"),
    [
        (np.eye(3), 1.0),
        (np.ones((3, 3)), 0.0),
        (np.zeros((3, 3)), 0.0),
        # Rounding below zero is zero.
        ([[1, -1e-17], [-1e-17, 1]], 1.0),
        # A useless row weighs nothing; a row of halves has 1 - log 2 / log 4.
        ([[1, 1, 0, 0], [0, 0, 0, 0]], 0.5),
        # Weights 3/4 and 1/4 on 1 and 1/2.
        ([[6, 0, 0, 0], [1, 1, 0, 0]], 0.875),
    ],
)
def test_disentanglement_by_hand(importance, expected):
    assert disentanglement(np.array(importance, float)) == pytest.approx(expected)


def test_parallel_factors_change_nothing():
    codes = reference.mixed(FACTORS)
    assert dci(codes, FACTORS, TINY, reference.rng(), jobs=2) == score(codes)
