import dataclasses

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY

from cfasl_jax.metrics import irs
from cfasl_jax.metrics.irs import deviation_quantiles, merged

FACTORS = reference.grid((4, 4, 4, 4))


def score(codes, protocol=TINY):
    return irs(codes, FACTORS, protocol, reference.rng())


def plain_loop(codes, factors, quantile):
    total, weight = 0.0, 0.0
    for d in range(codes.shape[1]):
        column = codes[:, d]
        largest = max(abs(value - column.mean()) for value in column)
        best = 0.0
        for k in range(factors.shape[1]):
            found = []
            for value in sorted(set(factors[:, k].tolist())):
                group = column[factors[:, k] == value]
                found.append(np.quantile(np.abs(group - group.mean()), quantile))
            best = max(best, 1 - np.mean(found) / largest)
        total, weight = total + largest * best, weight + largest
    return total / weight


@pytest.mark.parametrize("case", [reference.perfect, reference.duplicated])
def test_one_factor_a_dimension_scores_one(case):
    assert score(case(FACTORS))["irs"] == pytest.approx(1.0)


def test_constant_codes_score_zero():
    assert score(reference.constant(FACTORS))["irs"] == 0.0


def test_a_rotation_scores_less():
    assert score(reference.rotated(FACTORS))["irs"] < 0.8


@pytest.mark.parametrize("quantile", [0.9, 1.0])
def test_agrees_with_the_plain_loop(quantile):
    codes = reference.mixed(FACTORS)
    result = score(codes, dataclasses.replace(TINY, irs_quantile=quantile))
    assert result["irs"] == pytest.approx(plain_loop(codes, FACTORS, quantile))


def test_factors_with_many_values_are_merged():
    factors = np.stack([np.arange(6), np.array([0, 1, 0, 1, 0, 1])], axis=1)
    expected = np.stack([[0, 0, 1, 1, 2, 2], factors[:, 1]], axis=1)
    np.testing.assert_array_equal(merged(factors, (6, 2), 3), expected)


@pytest.mark.parametrize("quantile", [0.0, 0.3, 0.99, 1.0])
def test_quantiles_agree_with_numpy_on_groups_of_any_size(quantile):
    codes = reference.rng().normal(size=(37, 4))
    factor = np.repeat([5, 0, 3], [1, 6, 30])
    expected = []
    for value in (0, 3, 5):
        group = codes[factor == value]
        deviation = np.abs(group - group.mean(axis=0))
        expected.append(np.quantile(deviation, quantile, axis=0))
    found = deviation_quantiles(codes, factor, quantile)
    np.testing.assert_allclose(found, expected, atol=1e-12)
