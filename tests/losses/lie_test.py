"""The Lie group's losses, DIP-VAE's and FactorVAE's against plain loops."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import scipy.linalg

from cfasl_jax.losses import density_ratio, dip, lie

RNG = np.random.default_rng(0)
G = RNG.normal(size=(3, 4, 4))
MU, LOGVAR = RNG.normal(size=(2, 7, 3))


def test_losses_of_generators_agree_with_plain_loops_in_float64():
    with jax.enable_x64(True):
        got = [f(G) for f in (lie.hessian, lie.commutator, lie.commutator_official)]
    expected = [
        reference.lie_hessian(G),
        reference.lie_commutator(G),
        reference.lie_commutator(G, official=True),
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert abs(expected[1] - expected[2]) > 0.1


def test_commuting_generators_have_no_commutator():
    """Powers of one matrix commute, in whichever order they are multiplied."""
    powers = np.stack([G[0], G[0] @ G[0], 0.3 * np.eye(4)]).astype(np.float32)
    np.testing.assert_allclose(lie.commutator(powers), 0.0, atol=1e-6)
    assert lie.commutator_official(powers) > 0.1
    assert lie.hessian(powers) > 0.1


def test_generators_that_annihilate_each_other_have_no_hessian():
    apart = np.zeros((2, 4, 4), np.float32)
    apart[0, 0, 0] = apart[1, 3, 3] = 2.0
    assert float(lie.hessian(apart)) == 0.0
    apart[0, 0, 1] = apart[1, 3, 2] = 2.0  # their squares are not symmetric
    assert float(lie.commutator_official(apart)) == 0.0


def test_feature_error_is_a_sum_over_entries_and_a_mean_over_samples():
    features, code = RNG.normal(size=(2, 5, 9)).astype(np.float32)
    expected = np.mean(
        [np.sum((f - c) ** 2) for f, c in zip(features, code, strict=True)]
    )
    np.testing.assert_allclose(lie.feature_error(features, code), expected, rtol=1e-5)


def test_dip_penalties_agree_with_numpy_in_float64():
    with jax.enable_x64(True):
        means, samples = dip.penalties(MU), dip.penalties(MU, LOGVAR)
    np.testing.assert_allclose(means, reference.dip(MU), rtol=1e-6)
    np.testing.assert_allclose(samples, reference.dip(MU, LOGVAR), rtol=1e-6)


def test_dip_penalties_vanish_at_the_identity():
    """Means with variance 1/2 and posteriors with variance 1/2 make z of variance 1."""
    signs = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)], np.float32)
    np.testing.assert_allclose(dip.penalties(signs), 0.0, atol=1e-6)
    half = np.full((4, 2), np.log(0.5), np.float32)
    np.testing.assert_allclose(
        dip.penalties(signs * np.float32(0.5**0.5), half), 0.0, atol=1e-6
    )


def test_small_off_diagonals_are_not_lost_beside_the_diagonal():
    mu = 30 * RNG.normal(size=(10_000, 3))
    mu = np.linalg.qr(mu - mu.mean(axis=0))[0] * 3_000  # covariance 900 I
    mu = np.float32(mu @ (np.eye(3) + 1e-3 * np.ones((3, 3))))
    off_diagonal, _ = reference.dip(mu)
    np.testing.assert_allclose(dip.penalties(mu)[0], off_diagonal, rtol=1e-3)
    generators = np.float32(np.stack([np.diag([1, 3e-5]), np.diag([0, 1])]))
    np.testing.assert_allclose(lie.hessian(generators), 2 * 9e-10 / 4, rtol=1e-5)


def test_shuffling_permutes_each_dimension_by_itself():
    z = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    permutation = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]]).T
    got = density_ratio.shuffle(z, permutation)
    expected = np.stack([z[permutation[:, d], d] for d in range(3)], axis=1)
    np.testing.assert_array_equal(got, expected)


def test_best_discriminator_knows_the_total_correlation():
    """Its logit is the log ratio of the densities, whose mean is the TC."""
    rho, count = 0.8, 100_000
    z = np.random.default_rng(1).multivariate_normal(
        np.zeros(2), [[1, rho], [rho, 1]], count
    )
    precision = np.linalg.inv([[1, rho], [rho, 1]])
    joint = -0.5 * np.einsum("bi,ij,bj->b", z, precision, z)
    joint -= 0.5 * np.log(1 - rho**2)
    ratio = joint + 0.5 * (z**2).sum(axis=1)
    got = density_ratio.total_correlation(jnp.asarray(ratio, jnp.float32))
    np.testing.assert_allclose(got, -0.5 * np.log(1 - rho**2), atol=0.02)


def test_discriminator_loss_is_the_cross_entropy():
    own, shuffled = RNG.normal(size=(2, 6)).astype(np.float32)
    probability = 1 / (1 + np.exp(-np.float64([own, shuffled])))
    likelihoods = [*np.log(probability[0]), *np.log(1 - probability[1])]
    got = density_ratio.discriminator_loss(own, shuffled)
    np.testing.assert_allclose(got, -np.mean(likelihoods), rtol=1e-6)


@pytest.mark.parametrize("function", [lie.hessian, lie.commutator])
def test_gradients_are_finite_at_zero(function):
    chex.assert_tree_all_finite(jax.grad(function)(jnp.zeros((3, 4, 4))))


def test_reference_code_is_scipys_exponential():
    z = RNG.normal(size=(2, 3))
    expected = scipy.linalg.expm(np.tensordot(z[1], G, axes=1)).ravel()
    np.testing.assert_allclose(reference.lie_code(G, z)[1], expected)
