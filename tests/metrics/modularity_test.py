import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY

from cfasl_jax.metrics import modularity
from cfasl_jax.metrics.modularity import modularity_of

FACTORS = reference.grid((4, 4, 4, 4))


def score(codes):
    return modularity(codes, FACTORS, TINY, reference.rng())


@pytest.mark.parametrize("case", [reference.perfect, reference.duplicated])
def test_one_factor_a_dimension_scores_one(case):
    assert score(case(FACTORS))["modularity"] == pytest.approx(1.0, abs=1e-12)


def test_constant_codes_score_zero():
    assert score(reference.constant(FACTORS))["modularity"] == 0.0


def test_a_rotation_by_45_degrees_scores_two_thirds():
    # Each dimension knows two of the four factors equally: 1 - 1 / (4 - 1).
    result = score(reference.rotated(FACTORS))
    assert result["modularity"] == pytest.approx(2 / 3)


def test_two_equally_known_factors_cost_their_share():
    # One dimension knows 2 of 4 factors equally: 1 - 1 / (4 - 1).
    assert modularity_of(np.array([[0.5, 0.5, 0.0, 0.0]])) == pytest.approx(2 / 3)
    # A dimension that knows nothing counts as 0.
    assert modularity_of(np.array([[1.0, 0.0], [0.0, 0.0]])) == pytest.approx(0.5)


def test_agrees_with_the_plain_loop():
    codes = reference.mixed(FACTORS)
    expected = reference.modularity(codes, FACTORS, TINY.mig_bins)
    result = score(codes)
    assert result["modularity"] == pytest.approx(expected, rel=1e-9)
