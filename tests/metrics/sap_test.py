import dataclasses

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY
from sklearn.svm import LinearSVC

from cfasl_jax.metrics import sap

FACTORS = reference.grid((4, 4, 4, 4))
BINARY = np.tile(reference.grid((2, 2, 2)), (40, 1))


def score(codes, factors=FACTORS):
    return sap(codes, factors, TINY, reference.rng(), jobs=1)


def test_perfect_binary_codes_score_a_half():
    # The right dimension is always right, any other half of the time.
    assert score(reference.perfect(BINARY), BINARY)["sap"] == pytest.approx(
        0.5, abs=0.1
    )


@pytest.mark.parametrize("case", [reference.constant, reference.duplicated])
def test_constant_and_duplicated_codes_score_zero(case):
    result = score(case(BINARY), BINARY)
    assert result["sap"] == 0.0
    assert result["intervals"]["sap"] == [0.0, 0.0]


def test_rotation_and_noise_score_low():
    assert score(reference.rotated(BINARY), BINARY)["sap"] < 0.3
    assert score(reference.noise(BINARY), BINARY)["sap"] < 0.12


def test_agrees_with_the_plain_loop():
    codes = reference.mixed(FACTORS)
    rows = reference.rng().permutation(256)
    train, test = rows[:160], rows[160:]
    gaps = []
    for k in range(FACTORS.shape[1]):
        accuracies = []
        for d in range(codes.shape[1]):
            model = LinearSVC(C=0.01, class_weight="balanced", dual=False)
            model.fit(codes[train, d : d + 1], FACTORS[train, k])
            hits = 0
            for row in test:
                hits += (
                    model.predict(codes[row : row + 1, d : d + 1])[0] == FACTORS[row, k]
                )
            accuracies.append(hits / len(test))
        accuracies.sort()
        gaps.append(accuracies[-1] - accuracies[-2])
    result = score(codes)
    assert result["sap"] == pytest.approx(sum(gaps) / len(gaps))
    assert result["by_factor"]["sap"] == pytest.approx(gaps)


def test_parallel_factors_change_nothing():
    codes = reference.mixed(FACTORS)
    assert sap(codes, FACTORS, TINY, reference.rng(), jobs=2) == score(codes)


def test_refuses_one_dimension():
    with pytest.raises(ValueError, match="two dimensions, got codes of 1"):
        score(reference.perfect(FACTORS)[:, :1])


def test_the_interval_includes_the_choice_of_training_points():
    reference.assert_refits_widen(sap, "sap", FACTORS, TINY, few=0)


def test_a_value_of_a_factor_may_be_rare():
    factors = FACTORS.copy()
    factors[:, 0] = np.arange(len(factors)) < 3
    protocol = dataclasses.replace(TINY, refits=50)
    for seed in range(5):
        found = sap(reference.mixed(FACTORS), factors, protocol, reference.rng(seed), 1)
        assert 0 < np.ptp(found["intervals"]["sap"]) < 0.5
