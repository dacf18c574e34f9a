"""The symmetry codebook: learnable Lie-algebra generators and their composition.

A codebook holds S sections of L generators A[s, l], each [D, D]. Group elements
g = expm(A) act on row vectors, z -> z g. Two linear heads read a pair of posteriors and
predict which sections change between its samples (the switch) and which elements of
each section do it (the attention); their composition is the symmetry that carries one
sample's latent to the other's (Jung, Jeong, Kim, TMLR 2024).

Beyond the paper, a group element may be affine: it acts on [z, 1], so that it can also
translate z. Its generator then has E = D + 1 rows and columns instead of E = D, of
which the last column is 0, so that the 1 stays.
"""

from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from cfasl_jax.lie_group import group_element
from cfasl_jax.types import Posterior

_HIGHEST = jax.lax.Precision.HIGHEST

# How group elements act. "axes" is affine with a codebook that is given, not learned.
ACTIONS = ("linear", "affine", "axes")

# The elements of a given section translate by amounts from -4 to 4 standard deviations
# of the prior, which is as far apart as two of its samples may be.
_FARTHEST = 4.0


class Symmetry(NamedTuple):
    """The composite symmetry predicted for P pairs.

    Attributes:
        generator: M, [P, E, E]; z1 expm(M) should be z2.
        switch: which sections act, in [0, 1], [P, S].
        attention: weights over each section's elements, [P, S, L].
    """

    generator: jax.Array
    switch: jax.Array
    attention: jax.Array


def _axis_translations(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype
) -> jax.Array:
    """Entries [S, L, D + 1, D] of which section s translates dimension s alone."""
    del key
    S, L, _, D = shape
    rows = jnp.linspace(-_FARTHEST, _FARTHEST, L)[None, :, None] * jnp.eye(S)[:, None]
    return jnp.zeros(shape, dtype).at[:, :, D].set(rows)


class Codebook(nn.Module):
    """S = D sections of L generators, and two heads that predict their use.

    Attributes:
        latent_dim: D, which is also the number of sections S.
        elements: L.
        scale: generators start at N(0, scale^2) cut at two standard deviations.
        bias_init: initialiser of the heads' bias.
        even_heads: whether the heads also read |mu1 - mu2|.
        action: one of ACTIONS.
    """

    latent_dim: int
    elements: int
    scale: float
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()
    even_heads: bool = False
    action: str = "linear"

    def generators(self, stored: jax.Array) -> jax.Array:
        """Generators [S, L, E, E] from the parameter, [S, L, E, D]."""
        if self.action == "linear":
            return stored
        if self.action == "axes":
            stored = jax.lax.stop_gradient(stored)
        return jnp.pad(stored, ((0, 0), (0, 0), (0, 0), (0, 1)))

    @nn.compact
    def __call__(self, features: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Predict which sections and elements act on P pairs.

        Args:
            features: phi, [P, 4D], or [P, 5D] with even heads; see `pair_features`.

        Returns:
            The generators [S, L, E, E]; the factor prediction's logits p [P, S, 2], of
            which component 1 means "factor s changes"; and the attention, weights over
            each section's elements [P, S, L] whose rows sum to 1.
        """
        S = D = self.latent_dim
        L = self.elements
        chex.assert_shape(features, (None, num_features(D, self.even_heads)))
        given = self.action == "axes"
        normal = nn.initializers.truncated_normal(self.scale)
        init = _axis_translations if given else normal
        E = D if self.action == "linear" else D + 1
        stored = self.param("generators", init, (S, L, E, D), jnp.float32)
        # Both heads are one linear layer, so that Xavier's bound counts both.
        heads = nn.Dense(
            S * (2 + L),
            kernel_init=nn.initializers.xavier_uniform(),
            bias_init=self.bias_init,
            name="heads",
        )(features)
        heads = heads.reshape(-1, S, 2 + L)
        attention = jax.nn.softmax(heads[..., 2:], axis=-1)
        return self.generators(stored), heads[..., :2], attention


def num_features(latent_dim: int, even: bool) -> int:
    """Numbers in the heads' input for one pair, see `pair_features`."""
    return (5 if even else 4) * latent_dim


def pair_features(
    first: Posterior,
    second: Posterior,
    *,
    sigma2_from_mu: bool = False,
    even: bool = False,
) -> jax.Array:
    """phi = [mu1; sigma1; mu2; sigma2] -> [P, 4D].

    Args:
        first: posterior of the pairs' first samples, [P, D].
        second: posterior of the pairs' second samples, [P, D].
        sigma2_from_mu: read sigma2 as exp(mu2 / 2), as the published code does.
        even: append |mu1 - mu2|, [P, 5D]. The target of the factor prediction is a
            function of it, whereas a linear function of the others cannot tell
            whether mu1 and mu2 are far apart.
    """
    sigma2 = jnp.exp(0.5 * second.mu) if sigma2_from_mu else second.sigma
    features = [first.mu, first.sigma, second.mu, sigma2]
    if even:
        features.append(jnp.abs(first.mu - second.mu))
    return jnp.concatenate(features, axis=-1)


def switch(
    logits: jax.Array,
    gumbel: jax.Array | None = None,
    *,
    temperature: float | jax.Array = 1.0,
    straight_through: bool = True,
) -> jax.Array:
    """Which sections act on a pair, in [0, 1].

    The component "changes" of a Gumbel-softmax of the two logits (Jang et al. 2017).
    With `straight_through`, the value is the hard choice and the gradient is that of
    the soft one.

    Args:
        logits: factor prediction, [P, S, 2].
        gumbel: standard Gumbel noise of the same shape. None, as in evaluation, means
            that the larger logit is chosen.
        temperature: of the softmax; smaller is harder.
        straight_through: whether the forward value is exactly 0 or 1.

    Returns:
        The switch, [P, S].
    """
    chex.assert_shape(logits, (None, None, 2))
    noisy = logits
    if gumbel is not None:
        chex.assert_equal_shape([logits, gumbel])
        noisy = logits + gumbel
    margin = noisy[..., 1] - noisy[..., 0]
    soft = jax.nn.sigmoid(margin / temperature)
    if not straight_through:
        return soft
    hard = (margin > 0).astype(soft.dtype)
    return soft + jax.lax.stop_gradient(hard - soft)


def displacement(generators: jax.Array, z: chex.Array) -> jax.Array:
    """How each element moves each sample: delta = z - z expm(A).

    Args:
        generators: the codebook, [S, L, E, E].
        z: latents, [B, D].

    Returns:
        delta, [S, L, B, D].
    """
    return displaced_by(group_element(generators), z)


def displaced_by(g: jax.Array, z: chex.Array) -> jax.Array:
    """`displacement` by group elements g [S, L, E, E] instead of their generators.

    In float32 the difference loses digits where generators are small: at a standard
    deviation of 1e-3 delta has a relative error of 3e-5, at 1e-6 one of 2.5%.
    """
    chex.assert_rank([z, g], [2, 4])
    linear, translation = _parts(g, z.shape[-1])
    moved = jnp.einsum("bd,slde->slbe", z, linear, precision=_HIGHEST)
    if translation is not None:
        moved += translation[:, :, None]
    return z[None, None] - moved


def composite(
    generators: jax.Array, switch: jax.Array, attention: jax.Array
) -> jax.Array:
    """Composite generator M = sum_s sw[s] sum_l a[s, l] A[s, l] of each pair.

    Args:
        generators: the codebook, [S, L, E, E].
        switch: [P, S].
        attention: [P, S, L].

    Returns:
        M, [P, E, E]; the composite symmetry is expm(M), its inverse expm(-M).
    """
    S, L = generators.shape[:2]
    chex.assert_rank(generators, 4)
    chex.assert_shape(switch, (None, S))
    chex.assert_shape(attention, (switch.shape[0], S, L))
    weights = switch[:, :, None] * attention
    return jnp.einsum("psl,slde->pde", weights, generators, precision=_HIGHEST)


def act(z: chex.Array, generator: jax.Array) -> jax.Array:
    """z expm(M): [P, D] and [P, E, E] -> [P, D]. Act with -M for the inverse."""
    return move(z, group_element(generator))


def move(z: chex.Array, g: jax.Array) -> jax.Array:
    """z g: latents [P, D] moved by a group element each, [P, E, E] -> [P, D].

    With generators in the place of group elements, it is the velocity at z.
    """
    chex.assert_rank([z, g], [2, 3])
    chex.assert_equal_shape_prefix([z, g], 1)
    linear, translation = _parts(g, z.shape[-1])
    moved = jnp.einsum("pd,pde->pe", z, linear, precision=_HIGHEST)
    return moved if translation is None else moved + translation


def _parts(g: jax.Array, D: int) -> tuple[jax.Array, jax.Array | None]:
    """What g [..., E, E] does to z, [..., D, D], and to the 1 in [z, 1], [..., D]."""
    if g.shape[-1] == D + 1:
        return g[..., :D, :D], g[..., D, :D]
    chex.assert_shape(g, (..., D, D))
    return g, None
