import metrics_reference as reference
import numpy as np
import pytest
import scipy.linalg
from metrics_reference import TINY

from cfasl_jax.metrics.wasserstein_correlation import gaussian_wasserstein_correlation

NAME = "gaussian_wasserstein_correlation"


def score(codes):
    result = gaussian_wasserstein_correlation(codes, None, TINY, reference.rng())
    return result[NAME], result[f"{NAME}_norm"]


def test_agrees_with_the_distance_of_two_gaussians():
    codes = reference.mixed(reference.grid((4, 5, 3, 5)))
    covariance = np.cov(codes, rowvar=False)
    # Givens & Shortt (1984), of covariances S and V with the same mean.
    marginal = np.diag(np.diag(covariance))
    half = scipy.linalg.sqrtm(marginal)
    root = scipy.linalg.sqrtm(half @ covariance @ half)
    expected = np.trace(covariance + marginal - 2 * root).real
    found, normalized = score(codes)
    assert found == pytest.approx(expected)
    assert normalized == pytest.approx(expected / np.trace(covariance))


@pytest.mark.parametrize("copies", [2, 4])
def test_copies_by_hand(copies):
    codes = np.tile(reference.rng().normal(size=(50, 1)), copies)
    found, normalized = score(codes)
    assert normalized == pytest.approx(2 - 2 / np.sqrt(copies))
    assert found == pytest.approx(normalized * copies * np.var(codes[:, 0], ddof=1))


def test_constant_codes_have_no_distance():
    assert score(np.full((20, 3), 0.7)) == (0.0, 0.0)
