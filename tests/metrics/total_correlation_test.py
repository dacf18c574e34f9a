import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY

from cfasl_jax.metrics.points import UnavailableError
from cfasl_jax.metrics.total_correlation import gaussian_total_correlation


def score(codes):
    return gaussian_total_correlation(codes, None, TINY, reference.rng())


def correlated(n=400):
    codes = reference.rng().normal(size=(n, 3))
    codes[:, 1] += 0.8 * codes[:, 0]
    return codes * [1.0, 10.0, 1e-3]


def test_agrees_with_the_determinant():
    codes = correlated()
    covariance = np.cov(codes, rowvar=False)
    expected = 0.5 * np.log(np.prod(np.diag(covariance)) / np.linalg.det(covariance))
    assert expected > 0.1
    assert score(codes)["gaussian_total_correlation"] == pytest.approx(expected)


def test_two_dimensions_have_the_mutual_information_of_their_correlation():
    codes = correlated()[:, :2]
    rho = np.corrcoef(codes.T)[0, 1]
    expected = -0.5 * np.log(1 - rho**2)
    assert score(codes)["gaussian_total_correlation"] == pytest.approx(expected)


def test_dimensions_that_do_not_vary_are_left_out():
    codes = correlated()
    dead = np.concatenate([codes, np.full((400, 1), 0.7)], axis=1)
    assert score(dead)["gaussian_total_correlation"] == pytest.approx(
        score(codes)["gaussian_total_correlation"]
    )
    assert score(np.ones((50, 2)))["gaussian_total_correlation"] == 0.0


@pytest.mark.parametrize(("rows", "has_one"), [(16, False), (18, False), (24, True)])
def test_few_points_have_no_interval_rather_than_a_wrong_one(rows, has_one):
    ends = score(correlated(rows))["intervals"]["gaussian_total_correlation"]
    assert (ends is not None) == has_one
    assert ends is None or np.isfinite(ends).all()


def test_dimensions_that_differ_in_one_point_alone_have_no_interval():
    codes = np.repeat(correlated()[:, :1], 2, axis=1)
    codes[7, 1] += 1.0
    found = score(codes)
    assert np.isfinite(found["gaussian_total_correlation"])
    assert found["intervals"]["gaussian_total_correlation"] is None


def test_fewer_points_than_can_be_divided_are_refused():
    with pytest.raises(UnavailableError, match="at least 16 rows of codes, got 15"):
        score(correlated(15))


def test_a_linear_dependence_is_told():
    codes = correlated()
    with pytest.raises(UnavailableError, match="linear function of the others"):
        score(np.concatenate([codes, codes[:, :1] - codes[:, 1:2]], axis=1))
