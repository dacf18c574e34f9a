"""The two terms of the evidence lower bound (Kingma & Welling 2014), per sample."""

from typing import get_args

import chex
import jax
import jax.numpy as jnp
import optax

from cfasl_jax.types import Likelihood


def kl_per_dimension(mu: chex.Array, logvar: chex.Array) -> jax.Array:
    """KL(N(mu, sigma^2) || N(0, 1)) of each latent, [B, D] -> [B, D], in nats."""
    chex.assert_equal_shape([mu, logvar])
    # expm1 keeps the term exact near the prior, where exp(logvar) - 1 would lose
    # digits.
    return 0.5 * (jnp.square(mu) + jnp.expm1(logvar) - logvar)


def kl(mu: chex.Array, logvar: chex.Array) -> jax.Array:
    """KL(q(z|x) || N(0, I)) of each sample, [B, D] -> [B], in nats."""
    return kl_per_dimension(mu, logvar).sum(axis=-1)


def reconstruction(
    logits: jax.Array, images: jax.Array, likelihood: Likelihood
) -> jax.Array:
    """Reconstruction loss of each sample, summed over pixels and channels.

    Args:
        logits: the decoder's output, [B, H, W, C]; its sigmoid is the image.
        images: targets in [0, 1], [B, H, W, C].
        likelihood: "bernoulli", cross-entropy computed from the logits, or "gaussian",
            squared error of the sigmoid.

    Returns:
        The loss, [B].
    """
    chex.assert_equal_shape([logits, images])
    if likelihood == "bernoulli":
        per_pixel = optax.sigmoid_binary_cross_entropy(logits, images)
    elif likelihood == "gaussian":
        per_pixel = jnp.square(jax.nn.sigmoid(logits) - images)
    else:
        raise ValueError(f"unknown likelihood {likelihood!r}: {get_args(Likelihood)}")
    return per_pixel.sum(axis=tuple(range(1, per_pixel.ndim)))
