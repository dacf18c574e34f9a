"""CFASL: what the symmetry codebook adds to any base objective (Jung et al., 2024).

The terms follow the order of the paper: the composite symmetry of each pair, the
inductive bias of the codebook, the prediction of changed factors, and the encoder's
equivariance. The decoder's equivariance is the reconstruction loss of the latents that
`CFASL.losses` moves; `objective` adds it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cfasl_jax import codebook as codebook_lib
from cfasl_jax.codebook import Codebook, Symmetry
from cfasl_jax.lie_group import Expm, group_element
from cfasl_jax.losses import symmetry as symmetry_lib
from cfasl_jax.losses.batch import gathered
from cfasl_jax.objectives.base import Batch, Losses, Term, apply
from cfasl_jax.settings import FIDELITIES, Fidelity, Ours
from cfasl_jax.types import Params, Posterior

_PUBLISHED_TEMPERATURE = 1e-4
_NOTHING_OF_OURS = Ours()


class Moved(NamedTuple):
    """Latents that the pairs' symmetries have moved, for the decoder's equivariance.

    Attributes:
        z: first the pairs' second latents, moved back, then the first ones, moved
            forth, [B, D].
        images: what they should decode to, [B, H, W, C].
    """

    z: jax.Array
    images: jax.Array


@dataclasses.dataclass(frozen=True)
class CFASL:
    """The codebook and how its losses are computed; hashable.

    Attributes:
        codebook: generators and heads.
        fidelity: which departures of the published code from the paper are reproduced.
        expm: how matrix exponentials are computed, see `lie_group`.
        ours: which of this project's changes beyond the paper are made.
    """

    codebook: Codebook
    fidelity: Fidelity = FIDELITIES["corrected"]
    expm: Expm = "scipy"
    ours: Ours = _NOTHING_OF_OURS

    @property
    def drawn_elements(self) -> int:
        """The perpendicular loss draws its element indices below this."""
        if self.fidelity.perpendicular_below_sections:
            return self.codebook.latent_dim
        return self.codebook.elements

    def init(self, key: jax.Array) -> Params:
        """Parameters of the codebook."""
        codebook = self.codebook
        inputs = codebook_lib.num_features(codebook.latent_dim, codebook.even_heads)
        return codebook.init(key, jnp.zeros((1, inputs)))["params"]

    def generators(self, params: Params) -> jax.Array:
        """The codebook's generators, [S, L, E, E]."""
        return self.codebook.generators(params["codebook"]["generators"])

    def compose(
        self,
        params: Params,
        first: Posterior,
        second: Posterior,
        temperature: chex.Numeric = 1.0,
        gumbel: jax.Array | None = None,
    ) -> tuple[Symmetry, jax.Array]:
        """The composite symmetry that carries each pair's first sample to its second.

        Args:
            params: parameters of all networks.
            first: posterior of the pairs' first samples, [P, D].
            second: posterior of the pairs' second samples, [P, D].
            temperature: temperature of the switch's Gumbel-softmax.
            gumbel: noise of the switch in training, [P, S, 2]. Without it, as in
                evaluation, the larger logit is chosen. The published code adds noise in
                evaluation too; it is then drawn with a fixed key.

        Returns:
            The symmetry, and the factor prediction's logits p, [P, S, 2].
        """
        features = codebook_lib.pair_features(
            first,
            second,
            sigma2_from_mu=self.fidelity.sigma2_from_mu,
            even=self.codebook.even_heads,
        )
        generators, logits, attention = apply(
            self.codebook, params["codebook"], features
        )
        soft = self.fidelity.soft_noisy_switch
        if soft and gumbel is None:
            gumbel = jax.random.gumbel(jax.random.key(0), logits.shape)
        switch = codebook_lib.switch(
            logits,
            gumbel,
            temperature=_PUBLISHED_TEMPERATURE if soft else temperature,
            straight_through=not soft,
        )
        M = codebook_lib.composite(generators, switch, attention)
        return Symmetry(M, switch, attention), logits

    def losses(self, batch: Batch, images: jax.Array) -> tuple[Losses, Moved]:
        """CFASL's terms, except the decoder's equivariance.

        Args:
            batch: see `Batch`; its first half holds the pairs' first samples.
            images: of the batch, [B, H, W, C].
        """
        hyper, fidelity, noise = batch.hyper, self.fidelity, batch.noise
        (first, z1, x1), others = _halves((batch.posterior, batch.z, images))
        if self.ours.near_partners:
            others = _near_partners(first, others, batch)
        second, z2, x2 = others
        pair = first, second
        read = jax.lax.stop_gradient(pair) if self.ours.detached_heads else pair
        symmetry, logits = self.compose(
            batch.params, *read, hyper.codebook.temperature, noise.gumbel
        )
        generators = self.generators(batch.params)
        # One matrix exponential for all elements, symmetries and their inverses.
        g, g_c, g_c_inverse = _group_elements(
            self.expm, generators, symmetry.generator, -symmetry.generator
        )
        z = jax.lax.stop_gradient(batch.z) if self.ours.detached_biases else batch.z
        delta = codebook_lib.displaced_by(g, z)
        forth, back = codebook_lib.move(z1, g_c), codebook_lib.move(z2, g_c_inverse)
        carried = (forth, z2), (back, z1)
        if self.ours.equivariance_of_mu:
            carried = (
                (codebook_lib.move(first.mu, g_c), second.mu),
                (codebook_lib.move(second.mu, g_c_inverse), first.mu),
            )

        commutator, sparsity, factor_prediction = self._chosen_losses()
        mu1, mu2 = (z1, z2) if fidelity.targets_from_sample else (first.mu, second.mu)
        changed = jnp.abs(mu1 - mu2) > hyper.threshold

        alpha, axis = hyper.weights.alpha, batch.axis_name
        losses = {
            "parallel": Term(symmetry_lib.parallel(delta, axis), alpha),
            "perpendicular": Term(
                symmetry_lib.perpendicular(delta, noise.element, axis), alpha
            ),
            "commutator": Term(commutator(generators), alpha),
            "sparsity": Term(sparsity(delta), alpha),
            "factor_prediction": Term(
                factor_prediction(logits, changed), hyper.weights.gamma
            ),
            "encoder_equivariance": Term(
                symmetry_lib.distance(*carried[0]) + symmetry_lib.distance(*carried[1]),
                ramped(hyper.weights.lamb, batch),
            ),
        }
        moved = Moved(jnp.concatenate([back, forth]), jnp.concatenate([x1, x2]))
        return losses, moved

    def _chosen_losses(self) -> tuple[Callable[..., jax.Array], ...]:
        """Commutator, sparsity and factor prediction, in the configured variants."""
        return (
            symmetry_lib.commutator_official
            if self.fidelity.commutator_memory_order
            else symmetry_lib.commutator,
            symmetry_lib.relative_sparsity
            if self.ours.relative_sparsity
            else symmetry_lib.sparsity,
            symmetry_lib.factor_prediction_official
            if self.fidelity.double_softmax
            else symmetry_lib.factor_prediction,
        )


def ramped(weight: chex.Numeric, batch: Batch) -> jax.Array:
    """The weight of an equivariance at this step, which may rise from 0 at first."""
    ramp = batch.hyper.weights.ramp
    share = jnp.where(ramp > 0, batch.step / jnp.maximum(ramp, 1), 1.0)
    return weight * jnp.minimum(share, 1.0)


def _halves(tree: Any) -> tuple[Any, Any]:
    """Arrays of the pairs' first and of their second samples, [B, ...] -> [P, ...]."""
    P = len(jax.tree.leaves(tree)[0]) // 2
    return jax.tree.map(lambda x: x[:P], tree), jax.tree.map(lambda x: x[P:], tree)


def _near_partners(first: Posterior, others: Any, batch: Batch) -> Any:
    """For each first sample the one of all devices' others that differs least from it.

    Args:
        first: posterior of the pairs' first samples, [P, D].
        others: posterior, latents and images of the second samples, [P, ...] each.
        batch: see `Batch`.
    """
    everyone = jax.tree.map(lambda x: gathered(x, 0, batch.axis_name), others)
    partner = nearest(first.mu, everyone[0].mu, batch.hyper.threshold)
    return jax.tree.map(lambda x: jnp.take(x, partner, axis=0), everyone)


def nearest(mu1: jax.Array, mu2: jax.Array, threshold: chex.Numeric) -> jax.Array:
    """For each of P samples, that of Q others from which fewest latents differ.

    Two samples are as far apart as the sum over dimensions of abs(mu1 - mu2), each cut
    off at the threshold beyond which the factor prediction counts it as a change.

    Args:
        mu1: means of the samples, [P, D].
        mu2: means of the others, [Q, D].
        threshold: of the factor prediction.

    Returns:
        The index of each sample's partner, int [P].
    """
    apart = jnp.abs(mu1[:, None] - mu2[None])
    return jnp.minimum(apart, threshold).sum(axis=-1).argmin(axis=1)


def _group_elements(expm: Expm, *generators: jax.Array) -> list[jax.Array]:
    """expm of several arrays of generators [..., E, E] in one call."""
    side = generators[0].shape[-1]
    flat = [A.reshape(-1, side, side) for A in generators]
    ends = np.cumsum([len(A) for A in flat])[:-1]
    parts = jnp.split(group_element(jnp.concatenate(flat), expm), ends)
    return [g.reshape(A.shape) for g, A in zip(parts, generators, strict=True)]
