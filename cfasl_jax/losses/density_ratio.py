"""FactorVAE's total correlation by a density ratio (Kim & Mnih, ICML 2018)."""

import chex
import jax
import jax.numpy as jnp
import optax

from cfasl_jax.losses import batch


def shuffle(
    z: chex.Array, permutation: chex.Array, axis_name: str | None = None
) -> jax.Array:
    """Samples of prod_d q(z_d): each dimension is permuted by itself.

    Args:
        z: samples, [B, D].
        permutation: one permutation of the global batch for each dimension, int [B, D].
        axis_name: device axis over which B is divided; `permutation` is then that of
            the global batch, and the result is this device's part.

    Returns:
        Shuffled samples, [B, D].
    """
    shuffled = jnp.take_along_axis(batch.whole(z, axis_name), permutation, axis=0)
    return batch.own(shuffled, axis_name)


def total_correlation(logit: jax.Array) -> jax.Array:
    """E[log D / (1 - D)] over samples of q(z), from the discriminator's logits [B]."""
    chex.assert_rank(logit, 1)
    return logit.mean()


def discriminator_loss(logit: jax.Array, logit_shuffled: jax.Array) -> jax.Array:
    """Cross-entropy of telling samples from shuffled samples, logits [B] each."""
    chex.assert_rank([logit, logit_shuffled], 1)
    joint = optax.sigmoid_binary_cross_entropy(logit, jnp.ones_like(logit))
    apart = optax.sigmoid_binary_cross_entropy(logit_shuffled, jnp.zeros_like(logit))
    return 0.5 * (joint.mean() + apart.mean())
