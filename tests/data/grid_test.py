import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cfasl_jax.data.grid import FactorGrid

SMALL = FactorGrid(("a", "b", "c"), (3, 1, 4))
DSPRITES_SIZES = (3, 6, 40, 32, 32)
LARGE = FactorGrid(("shape", "scale", "orientation", "x", "y"), DSPRITES_SIZES)


def test_counts():
    assert SMALL.num_factors == 3
    assert SMALL.num_points == 12
    assert LARGE.num_points == 737280
    assert SMALL.strides == (4, 4, 1)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(("grid", "step"), [(SMALL, 1), (LARGE, 997)])
def test_factors_are_those_of_unravel_index(grid, step, jit):
    indices = np.append(np.arange(0, grid.num_points, step), grid.num_points - 1)
    function = jax.jit(grid.factors) if jit else grid.factors
    factors = function(jnp.asarray(indices))
    assert factors.dtype == jnp.int32
    expected = np.stack(np.unravel_index(indices, grid.sizes), axis=1)
    np.testing.assert_array_equal(factors, expected)


def test_indices_are_those_of_ravel_multi_index():
    rng = np.random.default_rng(0)
    factors = rng.integers(0, DSPRITES_SIZES, size=(50, 5))
    expected = np.ravel_multi_index(tuple(factors.T), DSPRITES_SIZES)
    np.testing.assert_array_equal(LARGE.indices(factors), expected)
    nested = LARGE.indices(factors.reshape(5, 10, 5))
    np.testing.assert_array_equal(nested, expected.reshape(5, 10))


def test_round_trip_of_every_point():
    indices = np.arange(SMALL.num_points)
    factors = np.asarray(SMALL.factors(jnp.asarray(indices)))
    assert len({tuple(row) for row in factors.tolist()}) == SMALL.num_points
    np.testing.assert_array_equal(SMALL.indices(factors), indices)


def test_the_last_factor_varies_fastest():
    np.testing.assert_array_equal(
        SMALL.factors(jnp.arange(5)),
        [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3], [1, 0, 0]],
    )


def test_samples_are_uniform_over_every_factor():
    factors = SMALL.sample(np.random.default_rng(1), 12000)
    assert factors.shape == (12000, 3)
    counts = np.bincount(SMALL.indices(factors), minlength=12)
    # Expected 1000 each; the standard deviation is about 30.
    assert np.all(np.abs(counts - 1000) < 150)


def test_samples_depend_on_the_generator_alone():
    first, again, other = (
        LARGE.sample(np.random.default_rng(seed), 20) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize("factors", [[0, 0, 4], [3, 0, 0], [0, -1, 0], [0, 1, 0]])
def test_factors_outside_the_grid_are_refused(factors):
    with pytest.raises(ValueError, match=r"outside the grid \(3, 1, 4\)"):
        SMALL.indices(np.asarray([[0, 0, 0], factors]))


def test_a_wrong_number_of_factors_is_refused():
    with pytest.raises(ValueError, match=r"expected 3 factors .* got shape \(2, 5\)"):
        SMALL.indices(np.zeros((2, 5), int))


def test_indices_of_another_rank_are_refused():
    with pytest.raises(AssertionError):
        SMALL.factors(jnp.zeros((2, 2), jnp.int32))


def test_a_grid_of_unequal_lengths_or_empty_factors_is_refused():
    with pytest.raises(ValueError, match="2 names, 3 sizes"):
        FactorGrid(("a", "b"), (1, 2, 3))
    with pytest.raises(ValueError, match="at least 1"):
        FactorGrid(("a", "b"), (2, 0))
