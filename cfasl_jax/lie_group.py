"""From a Lie algebra to its group: the matrix exponential, exact to float32."""

from functools import partial

import chex
import jax
import jax.numpy as jnp

_HIGHEST = jax.lax.Precision.HIGHEST

# A matrix is halved until its L1 norm is below _MAX_NORM, the largest for which the
# Pade approximant of order 7 is exact to float32, and the result squared as often.
# Under vmap every squaring that is allowed for is computed, needed or not. Eight serve
# norms up to 1,000; beyond that the result is NaN, which stops a run with the name of
# the term: such a generator carries no latent anywhere sensible.
_MAX_NORM = 3.9
_MAX_SQUARINGS = 8


def group_element(generator: jax.Array) -> jax.Array:
    """expm of generators, [..., D, D] -> [..., D, D], float32.

    jax.scipy.linalg.expm halves its argument once too rarely for float32: it leaves L1
    norms up to 7.8, where a rotation by 7 radians is wrong by 1e-3. Scaled beforehand,
    the result is exact to a few float32 roundings (Higham 2005).
    """
    chex.assert_equal(generator.shape[-1], generator.shape[-2])
    A = generator.reshape(-1, *generator.shape[-2:])
    norm = jnp.abs(A).sum(axis=-2).max(axis=-1)[:, None, None]
    halvings = jnp.ceil(jnp.log2(jnp.maximum(norm, _MAX_NORM) / _MAX_NORM))
    halvings = jax.lax.stop_gradient(halvings)
    expm = partial(jax.scipy.linalg.expm, max_squarings=0)
    g = jax.vmap(expm)(A * jnp.exp2(-halvings))
    for squaring in range(_MAX_SQUARINGS):
        g = jnp.where(squaring < halvings, jnp.matmul(g, g, precision=_HIGHEST), g)
    g = jnp.where(halvings > _MAX_SQUARINGS, jnp.nan, g)
    return g.reshape(generator.shape)
