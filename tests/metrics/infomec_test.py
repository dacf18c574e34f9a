import dataclasses

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from cfasl_jax.metrics import infomec
from cfasl_jax.metrics.infomec import _information, concentration, concentrations

FACTORS = reference.grid((4, 4, 4, 4))
BINARY = np.tile(reference.grid((2, 2, 2)), (32, 1))


def score(codes, factors=FACTORS):
    return infomec(codes, factors, TINY, reference.rng(), jobs=1)


def test_perfect_codes_score_near_one():
    result = score(reference.perfect(BINARY), BINARY)
    assert result["infom"] > 0.9
    assert result["infoc"] > 0.9
    assert result["infoe"] == pytest.approx(1.0, abs=0.01)


def test_constant_codes_score_zero():
    result = score(reference.constant(BINARY), BINARY)
    assert result["infom"] == result["infoc"] == 0.0
    # The regression knows the frequencies only, as the comparison does.
    assert result["infoe"] == pytest.approx(0.0, abs=1e-3)


def test_duplicated_codes_keep_modularity_and_halve_the_share_in_compactness():
    single = score(reference.perfect(BINARY), BINARY)
    double = score(reference.duplicated(BINARY), BINARY)
    assert double["infom"] == pytest.approx(single["infom"], abs=0.1)
    # Two of A = 6 dimensions share each factor: (1/2 - 1/6) / (1 - 1/6) = 0.4.
    assert double["infoc"] == pytest.approx(0.4, abs=0.08)


def test_a_rotation_loses_modularity_and_keeps_explicitness():
    plain, turned = score(reference.perfect(FACTORS)), score(reference.rotated(FACTORS))
    assert turned["infom"] < 0.5
    assert turned["infoe"] == pytest.approx(plain["infoe"], abs=0.05)


def test_a_dimension_of_small_range_is_left_out():
    codes = reference.perfect(FACTORS)
    # Whatever it knows: its range is 1/100 of the others'.
    extra = np.concatenate([codes, 0.01 * codes[:, :1]], axis=1)
    assert "4 dimensions are active by their range" in score(extra)["notes"]
    assert score(extra)["infom"] == pytest.approx(score(codes)["infom"], abs=0.05)


def test_explicitness_agrees_with_the_plain_loop_on_held_out_points():
    codes = reference.mixed(FACTORS)
    rows = reference.rng().permutation(256)
    train, test = rows[:160], rows[160:]
    scaled = (codes - codes[train].mean(axis=0)) / codes[train].std(axis=0)
    gains = []
    for k in range(FACTORS.shape[1]):
        model = LogisticRegression(C=np.inf, max_iter=TINY.infomec_max_iter)
        model.fit(scaled[train], FACTORS[train, k])
        given = log_loss(FACTORS[test, k], model.predict_proba(scaled[test]))
        surprise = [-np.log(np.mean(FACTORS[train, k] == v)) for v in FACTORS[test, k]]
        gains.append(1 - given / np.mean(surprise))
    result = score(codes)
    assert result["infoe"] == pytest.approx(np.mean(gains), abs=1e-6)


def test_information_agrees_with_scikit_learn():
    factors = FACTORS[:, :2]
    codes = reference.noise(factors) + factors
    found = _information(codes, factors, 3)
    for k in range(2):
        entropy = reference.entropy(factors[:, k].tolist())
        expected = mutual_info_classif(
            codes, factors[:, k], discrete_features=False, n_neighbors=3
        )
        np.testing.assert_allclose(found[:, k], expected / entropy, atol=1e-6)
    one_value = np.zeros((len(codes), 1), int)
    assert _information(codes, one_value, 3).tolist() == [[0.0], [0.0]]


def test_the_intervals_narrow_with_more_points():
    factors = np.tile(FACTORS, (8, 1))
    codes = reference.mixed(factors)
    widths = {}
    for count in (200, 1600):
        protocol = dataclasses.replace(TINY, infomec_train=count, refits=9)
        ends = [
            infomec(codes, factors, protocol, reference.rng(seed), jobs=1)["intervals"]
            for seed in range(5)
        ]
        widths[count] = [
            np.mean([np.ptp(each[name]) for each in ends])
            for name in ("infom", "infoc")
        ]
    # By the square root of 8 where the variance falls as 1/n.
    assert np.all(np.divide(widths[1600], widths[200]) < 0.6)


def test_the_interval_of_infoe_includes_the_choice_of_training_points():
    reference.assert_refits_widen(infomec, "infoe", FACTORS, TINY, few=9)


def test_constant_codes_have_intervals_of_no_width():
    intervals = score(reference.constant(BINARY), BINARY)["intervals"]
    assert intervals["infom"] == intervals["infoc"] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (np.eye(3), 1.0),
        (np.ones((2, 4)), 0.0),
        # max / sum = 1/2 of 3 columns: (1/2 - 1/3) / (2/3); a row of zeros counts as 0.
        ([[1, 1, 0]], 0.25),
        ([[1, 0, 0], [0, 0, 0]], 0.5),
        (np.ones((3, 1)), 0.0),
        (np.ones((0, 3)), 0.0),
    ],
)
def test_concentration_by_hand(shares, expected):
    assert concentration(np.array(shares, float)) == pytest.approx(expected)


def test_concentrations_are_those_of_each_row_alone():
    shares = np.array([[3.0, 1.0], [0.0, 0.0], [2.0, 2.0], [0.0, 7.0]])
    assert concentrations(shares).tolist() == [0.5, 0.0, 0.0, 1.0]
    assert concentrations(shares[:, :1]).tolist() == [0.0] * 4
