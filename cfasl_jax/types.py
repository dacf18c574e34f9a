"""Glossary of symbols and axes, and the types that several modules share.

Axes, as they are named in shapes throughout the project:

    B   samples in a batch; the first half and the second half form B / 2 pairs (x1, x2)
    P   pairs, B / 2
    D   latent dimensions
    S   sections of the codebook, each of which should learn one factor; S = D
    L   elements (generators) in a section
    E   rows of a generator: D, or D + 1 if it acts on [z, 1]
    K   ground-truth factors
    R   runs trained together: seeds and hyperparameter settings
    H, W, C   height, width and channels of an image

Symbols of the paper (Jung, Jeong, Kim, TMLR 2024):

    mu, sigma, z    posterior mean, standard deviation and sample, z = mu + sigma eps
    A[s, l]         a Lie-algebra generator, [E, E]
    g = expm(A)     a group element; it acts on row vectors, z -> z g
    delta[s, l](z)  z - z g[s, l], the displacement of z by an element
    sw, a           switch [P, S] and attention [P, S, L] of a pair
    M, g_c          composite generator and composite symmetry, g_c = expm(M)
"""

from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp

Params = chex.ArrayTree
Terms = dict[str, jax.Array]

# The likelihood of a pixel given the decoder's logit; see `losses.elbo.reconstruction`.
Likelihood = Literal["bernoulli", "gaussian"]

# A latent is active where its mean KL from the prior exceeds this, in nats. (Scores
# that prune dimensions go by the spread of the codes, see `metrics.Protocol`.)
ACTIVE_KL = 0.01


class Posterior(NamedTuple):
    """A diagonal Gaussian over the latents.

    Attributes:
        mu: mean, [B, D].
        logvar: logarithm of the variance, [B, D].
    """

    mu: jax.Array
    logvar: jax.Array

    @property
    def sigma(self) -> jax.Array:
        """Standard deviation, [B, D]."""
        return jnp.exp(0.5 * self.logvar)

    def sample(self, eps: jax.Array) -> jax.Array:
        """z = mu + sigma eps for standard normal eps [B, D]."""
        chex.assert_equal_shape([self.mu, eps])
        return self.mu + self.sigma * eps
