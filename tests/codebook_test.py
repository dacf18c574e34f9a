"""The codebook against scipy in float64 and by the algebra it must obey."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import scipy.linalg
from jax.test_util import check_grads

from cfasl_jax import codebook
from cfasl_jax.types import Posterior

S = D = 4
L = 3
B = 6
SCALES = (1e-6, 1e-2, 0.3, 1.0)


def normal(seed, *shape, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


class Variants(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_displacement(self):
        A, z = normal(0, S, L, D, D, scale=0.3), normal(1, B, D)
        got = self.variant(codebook.displacement)(A, z)
        chex.assert_shape(got, (S, L, B, D))
        chex.assert_trees_all_close(
            got, np.float32(reference.displacement(A, z)), rtol=1e-4, atol=1e-5
        )

    @chex.variants(with_jit=True, without_jit=True)
    def test_composite(self):
        A = normal(0, S, L, D, D)
        sw, attention = normal(1, B, S), normal(2, B, S, L)
        got = self.variant(codebook.composite)(A, sw, attention)
        expected = reference.composite(A, sw, attention)
        chex.assert_trees_all_close(got, np.float32(expected), rtol=1e-4, atol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_act(self):
        z, M = normal(0, B, D), normal(1, B, D, D, scale=0.5)
        got = self.variant(codebook.act)(z, M)
        expected = reference.act(z, M)
        chex.assert_trees_all_close(got, np.float32(expected), rtol=1e-4, atol=1e-5)


def test_composite_of_closed_switches_is_the_identity():
    A, attention, z = normal(0, S, L, D, D), normal(1, B, S, L), normal(2, B, D)
    M = codebook.composite(A, jnp.zeros((B, S)), attention)
    np.testing.assert_array_equal(codebook.act(z, M), z)


@pytest.mark.parametrize("scale", SCALES)
def test_inverse_returns_z(scale):
    z, M = normal(0, B, D), normal(1, B, D, D, scale=scale)
    back = codebook.act(codebook.act(z, M), -M)
    np.testing.assert_allclose(back, z, rtol=1e-3, atol=1e-3)


def test_zero_generator_moves_nothing():
    z = normal(0, B, D)
    delta = codebook.displacement(jnp.zeros((S, L, D, D)), z)
    np.testing.assert_array_equal(delta, np.zeros((S, L, B, D)))


def test_row_vectors_are_acted_on_from_the_right():
    A = np.zeros((1, 2, 2), np.float32)
    A[0, 0, 1] = 1.0  # a shear: row vector (1, 0) becomes (1, 1)
    np.testing.assert_allclose(codebook.act(np.float32([[1, 0]]), A), [[1, 1]])


def affine(seed, *shape, scale=0.4):
    """Generators [..., D + 1, D + 1] that leave the 1 in [z, 1] alone."""
    A = normal(seed, *shape, D + 1, D + 1, scale=scale)
    A[..., D] = 0.0
    return A


def on_extended(A, z):
    """[z, 1] expm(A) without the 1, by scipy in float64."""
    row = np.append(np.float64(z), 1.0) @ scipy.linalg.expm(np.float64(A))
    np.testing.assert_allclose(row[-1], 1.0)
    return row[:-1]


def test_affine_elements_act_on_z_and_1():
    z, M, A = normal(0, B, D), affine(1, B), affine(2, S, L)
    expected = [on_extended(M[p], z[p]) for p in range(B)]
    np.testing.assert_allclose(codebook.act(z, M), expected, rtol=1e-4, atol=1e-5)
    delta = codebook.displacement(A, z)
    chex.assert_shape(delta, (S, L, B, D))
    for s, i, b in np.ndindex(S, L, B):
        np.testing.assert_allclose(
            delta[s, i, b], z[b] - on_extended(A[s, i], z[b]), rtol=1e-3, atol=1e-5
        )
    attention = np.random.default_rng(3).dirichlet(np.ones(L), (B, S))
    composed = codebook.composite(A, jnp.ones((B, S)), jnp.float32(attention))
    np.testing.assert_array_equal(composed[..., D], 0)


def test_given_axes_translate_one_dimension_each():
    module = codebook.Codebook(D, 4, scale=0.1, action="axes")
    features = normal(0, B, 4 * D)
    variables = module.init(jax.random.key(0), features)
    generators, *_ = module.apply(variables, features)
    z = normal(1, B, D)
    delta = codebook.displacement(generators, z)
    amounts = (-4, -4 / 3, 4 / 3, 4)
    for s, i, b in np.ndindex(D, 4, B):
        expected = -amounts[i] * np.eye(D)[s]
        np.testing.assert_allclose(delta[s, i, b], expected, atol=1e-5)


def test_gradients():
    z, A = normal(0, B, D), normal(1, B, D, D, scale=0.3)
    check_grads(codebook.act, (z, A), order=1, modes=["rev"], atol=3e-2, rtol=3e-2)
    generators = normal(2, S, L, D, D, scale=0.3)
    check_grads(
        codebook.displacement, (generators, z), 1, ["rev"], atol=3e-2, rtol=3e-2
    )


def test_gradient_at_zero_generators_is_that_of_a_small_step():
    z = normal(0, B, D)

    def moved(A):
        return codebook.act(z, A).sum()

    gradient = jax.grad(moved)(jnp.zeros((B, D, D)))
    expected = np.repeat(z[:, :, None], D, axis=2)  # d(z A) / dA
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def logits_and_gumbel(P=500):
    return normal(0, P, S, 2), np.random.default_rng(1).gumbel(size=(P, S, 2))


def test_switch_chooses_the_larger_noisy_logit():
    logits, gumbel = logits_and_gumbel()
    got = codebook.switch(logits, jnp.float32(gumbel))
    np.testing.assert_array_equal(got, np.argmax(logits + gumbel, axis=-1))
    got = codebook.switch(logits)
    np.testing.assert_array_equal(got, np.argmax(logits, axis=-1))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_soft_switch_is_gumbel_softmax(temperature):
    logits, gumbel = logits_and_gumbel()
    got = codebook.switch(
        logits, jnp.float32(gumbel), temperature=temperature, straight_through=False
    )
    scores = np.exp((logits + gumbel) / temperature)
    expected = scores[..., 1] / scores.sum(axis=-1)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_straight_through_has_the_soft_gradient():
    logits, gumbel = logits_and_gumbel()

    def total(straight_through):
        return jax.grad(
            lambda x: codebook.switch(
                x, jnp.float32(gumbel), straight_through=straight_through
            ).sum()
        )(logits)

    np.testing.assert_allclose(total(True), total(False), rtol=1e-5)
    assert np.abs(total(True)).max() > 0.1


def posterior(seed, P=5):
    return Posterior(
        jnp.asarray(normal(seed, P, D)), jnp.asarray(normal(seed + 1, P, D))
    )


def test_pair_features():
    first, second = posterior(0), posterior(2)
    got = codebook.pair_features(first, second)
    expected = [
        first.mu,
        np.exp(first.logvar / 2),
        second.mu,
        np.exp(second.logvar / 2),
    ]
    np.testing.assert_allclose(got, np.concatenate(expected, axis=1), rtol=1e-6)
    slip = codebook.pair_features(first, second, sigma2_from_mu=True)
    np.testing.assert_allclose(slip[:, 3 * D :], np.exp(second.mu / 2), rtol=1e-6)
    np.testing.assert_array_equal(slip[:, : 3 * D], got[:, : 3 * D])
    even = codebook.pair_features(first, second, even=True)
    np.testing.assert_array_equal(even[:, : 4 * D], got)
    np.testing.assert_array_equal(even[:, 4 * D :], abs(first.mu - second.mu))


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize(("action", "E"), [("linear", D), ("affine", D + 1)])
def test_module_reads_pairs(action, E, even):
    module = codebook.Codebook(D, L, scale=0.1, even_heads=even, action=action)
    features = normal(0, 5, codebook.num_features(D, even))
    variables = module.init(jax.random.key(0), features)
    generators, logits, attention = module.apply(variables, features)
    chex.assert_shape(generators, (S, L, E, E))
    np.testing.assert_array_equal(generators[..., D:], 0)
    assert np.abs(generators[..., :D]).min() > 0
    chex.assert_shape(logits, (5, S, 2))
    chex.assert_shape(attention, (5, S, L))
    np.testing.assert_allclose(attention.sum(-1), 1.0, rtol=1e-6)


def test_initial_values():
    D, L, scale = 10, 16, 0.1
    module = codebook.Codebook(latent_dim=D, elements=L, scale=scale)
    params = module.init(jax.random.key(0), jnp.zeros((1, 4 * D)))["params"]
    A = params["generators"]
    assert np.abs(A).max() <= 2 * scale
    # A normal cut at two standard deviations keeps 0.8796 of the spread.
    np.testing.assert_allclose(A.std(), 0.8796 * scale, rtol=0.03)
    kernel = params["heads"]["kernel"]
    bound = np.sqrt(6 / (4 * D + (L + 2) * D))
    assert 0.95 * bound < np.abs(kernel).max() <= bound
    np.testing.assert_array_equal(params["heads"]["bias"], 0)


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        codebook.displacement(jnp.zeros((S, L, D, D)), jnp.zeros((B, D + 1)))
    with pytest.raises(AssertionError):
        codebook.composite(
            jnp.zeros((S, L, D, D)), jnp.zeros((B, S)), jnp.zeros((1, S, L))
        )
    with pytest.raises(AssertionError):
        codebook.act(jnp.zeros((B, D)), jnp.zeros((B, D + 2, D + 2)))
