"""Losses of the codebook against plain loops in float64, and by their properties."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax.test_util import check_grads

from cfasl_jax.losses import symmetry

S, L, B, D = 3, 4, 6, 5


def normal(seed, *shape, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


DELTA = normal(0, S, L, B, D)
ELEMENT = np.array([1, 0, 3])
GENERATORS = normal(1, S, L, D, D)
LOGITS, CHANGED = normal(2, B, S, 2), normal(3, B, S) > 0
Z1, Z2, M = normal(4, B, D), normal(5, B, D), normal(6, B, D, D, scale=0.3)

CASES = {
    "parallel": (DELTA,),
    "perpendicular": (DELTA, ELEMENT),
    "sparsity": (DELTA,),
    "relative_sparsity": (DELTA,),
    "commutator": (GENERATORS,),
    "factor_prediction": (LOGITS, CHANGED),
    "encoder_equivariance": (Z1, Z2, M),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("variant", [jax.jit, lambda f: f], ids=["jit", "plain"])
def test_agrees_with_the_plain_loop(name, variant):
    got = variant(getattr(symmetry, name))(*CASES[name])
    chex.assert_shape(got, ())
    expected = getattr(reference, name)(*CASES[name])
    np.testing.assert_allclose(got, expected, rtol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_plain_loop_in_float64(name):
    with jax.enable_x64(True):
        arguments = [
            jnp.asarray(a, jnp.float64 if a.dtype == np.float32 else None)
            for a in CASES[name]
        ]
        got = getattr(symmetry, name)(*arguments)
    expected = getattr(reference, name)(*CASES[name])
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradient(name):
    first, *rest = CASES[name]
    with jax.enable_x64(True):
        loss = getattr(symmetry, name)
        rest = [jnp.asarray(a) for a in rest]
        check_grads(
            lambda x: loss(x, *rest),
            (jnp.float64(first),),
            1,
            ["rev"],
            rtol=1e-3,
            eps=1e-7,
        )


def test_parallel_gradient_equals_that_of_the_plain_formula():
    def plain(delta):
        unit = delta / jnp.linalg.norm(delta, axis=-1, keepdims=True)
        unit = unit.reshape(S, L * B, D)
        cos = jnp.einsum("snd,smd->snm", unit, unit)
        return -jnp.log(cos**2 + 1e-9).mean()

    got, expected = jax.grad(symmetry.parallel)(DELTA), jax.grad(plain)(DELTA)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 6, 8])
def test_parallel_for_every_number_of_vectors(count):
    delta = normal(7, 2, 1, count, D)
    expected = reference.parallel(delta)
    np.testing.assert_allclose(symmetry.parallel(delta), expected, rtol=2e-5, atol=1e-6)


def test_parallel_of_aligned_displacements_is_zero():
    direction = normal(0, S, 1, 1, D)
    amount = normal(1, S, L, B, 1)
    np.testing.assert_allclose(symmetry.parallel(direction * amount), 0, atol=1e-5)


def test_parallel_of_orthogonal_displacements_is_the_floor():
    delta = np.eye(4, dtype=np.float32).reshape(1, 4, 1, 4)
    # Four of sixteen pairs are a vector with itself.
    expected = 12 / 16 * -np.log(1e-9)
    np.testing.assert_allclose(symmetry.parallel(delta), expected, rtol=1e-6)


def test_perpendicular_of_one_axis_a_section_is_zero():
    delta = np.zeros((S, L, B, S), np.float32)
    for s in range(S):
        delta[s, :, :, s] = normal(s, L, B)
    assert symmetry.perpendicular(delta, ELEMENT) == 0


def test_perpendicular_of_one_direction_for_all_is_the_share_of_other_sections():
    delta = np.broadcast_to(normal(0, 1, 1, 1, D), (S, L, B, D))
    got = symmetry.perpendicular(delta, ELEMENT)
    np.testing.assert_allclose(got, (S - 1) / S, rtol=1e-5)


def test_sparsity_of_one_moving_dimension_is_zero():
    delta = np.zeros((S, L, B, D), np.float32)
    delta[..., 2] = normal(0, S, L, B)
    assert symmetry.sparsity(delta) == 0


def test_commutator_of_diagonal_generators_is_zero():
    diagonal = normal(0, S, L, D)[..., None] * np.eye(D, dtype=np.float32)
    assert symmetry.commutator(diagonal) == 0
    assert symmetry.commutator(GENERATORS[:1, :1]) == 0


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0])
def test_commutator_and_its_gradient_are_exact_where_generators_nearly_commute(scale):
    diagonal = normal(0, S, L, D)[..., None] * np.eye(D, dtype=np.float32)
    near = diagonal + scale * GENERATORS
    value, gradient = jax.value_and_grad(symmetry.commutator)(near)
    np.testing.assert_allclose(value, reference.commutator(near), rtol=1e-4)
    # The derivative of ||[A, B]||^2 by A, at both places of every generator.
    A = near.reshape(-1, D, D).astype(np.float64)
    products = np.einsum("aij,bjk->abik", A, A)
    C = products - products.swapaxes(0, 1)
    slope = np.einsum("abik,bjk->aij", C, A) - np.einsum("bji,abjk->aik", A, C)
    expected = 4 * slope / (len(A) * (len(A) - 1) * D * D)
    rounding = 1e-3 * np.abs(expected).max()
    np.testing.assert_allclose(
        gradient.reshape(A.shape), expected, rtol=1e-5, atol=rounding
    )


@pytest.mark.parametrize(
    "loss", [symmetry.parallel, symmetry.sparsity, symmetry.relative_sparsity]
)
def test_zero_displacement_has_a_finite_loss_and_no_gradient(loss):
    delta = DELTA.copy()
    delta[0, 0] = 0
    value, gradient = jax.value_and_grad(loss)(delta)
    np.testing.assert_allclose(
        value, getattr(reference, loss.__name__)(delta), rtol=2e-5
    )
    np.testing.assert_array_equal(gradient[0, 0], 0)
    assert np.isfinite(gradient).all()


def test_perpendicular_with_zero_displacement():
    delta = DELTA.copy()
    delta[1, 0] = 0
    value, gradient = jax.value_and_grad(symmetry.perpendicular)(delta, ELEMENT)
    expected = reference.perpendicular(delta, ELEMENT)
    np.testing.assert_allclose(value, expected, rtol=2e-5)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[1], 0)


def test_encoder_equivariance_of_the_true_symmetry_is_zero():
    z2 = reference.act(Z1, M).astype(np.float32)
    got = symmetry.encoder_equivariance(Z1, z2, M)
    np.testing.assert_allclose(got, 0, atol=1e-9)


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        symmetry.parallel(DELTA[0])
    with pytest.raises(AssertionError):
        symmetry.factor_prediction(LOGITS, CHANGED[:, :1])
    with pytest.raises(AssertionError):
        symmetry.encoder_equivariance(Z1, Z2[:1], M)


def test_accelerators_compare_all_sections_at_once_and_agree():
    """The branch of `parallel` that the CPU does not take, run on the CPU."""
    rows = np.float64(normal(8, S, L * B, D))
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    with jax.enable_x64(True):
        at_once = jax.vmap(symmetry._section_alignment)(rows, rows)
        in_turn = symmetry._one_after_another(rows, rows)
    chex.assert_trees_all_close(at_once, in_turn, rtol=1e-9)
    lowered = jax.jit(symmetry.parallel).trace(DELTA).lower
    assert "stablehlo.while" in lowered(lowering_platforms=("cpu",)).as_text()
    assert "stablehlo.while" not in lowered(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize(
    ("loss", "shapes"),
    [
        (symmetry.parallel, [(10, 16, 1_024, 10)]),
        (symmetry.perpendicular, [(10, 1, 8_192, 10), (10,)]),
        (symmetry.commutator, [(64, 16, 64, 64)]),
        (symmetry.commutator_official, [(64, 16, 64, 64)]),
    ],
)
def test_more_pairs_than_an_integer_of_the_device_can_count(loss, shapes):
    kinds = (jnp.float32, jnp.int32)
    arguments = map(jax.ShapeDtypeStruct, shapes, kinds)
    assert jax.eval_shape(jax.grad(loss), *arguments).shape == shapes[0]
