"""The commutative Lie group VAE, whose decoder reads a matrix of a group."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cfasl_jax import lie_group
from cfasl_jax.data.dataset import Spec
from cfasl_jax.losses import lie
from cfasl_jax.models.lie_vae import GeneratorInit, LieDecoder, LieEncoder
from cfasl_jax.models.vae import BiasInit
from cfasl_jax.objectives.base import Base, Batch, Entry, Losses, Term, apply
from cfasl_jax.settings import Config
from cfasl_jax.types import Params, Posterior


@dataclasses.dataclass(frozen=True)
class CLGVAE(Base):
    """KL, and losses that make the generators commute (Zhu et al., ICML 2021).

    Attributes:
        official_commutator: whether the commutator is that of the published code.
        official_equivariance: whether, with CFASL, the decoder's equivariance is the
            reconstruction from z, also where the coin has the features reconstructed
            instead, as in the published code.
    """

    official_commutator: bool = False
    official_equivariance: bool = False

    def losses(self, batch: Batch) -> Losses:
        """KL, the generators' two losses and the features' error."""
        generators = batch.params["decoder"]["generators"]
        commutator = (
            lie.commutator_official if self.official_commutator else lie.commutator
        )
        features, hyper = batch.extra, batch.hyper
        return {
            "kl": Term(batch.kl(), 1.0),
            "hessian": Term(lie.hessian(generators), hyper.lie.hessian),
            "lie_commutator": Term(commutator(generators), hyper.lie.commutator),
            "features": Term(
                lie.feature_error(features, batch.code), hyper.feature_weight
            ),
        }

    def encode(
        self, encoder: nn.Module, params: Params, images: jax.Array
    ) -> tuple[Posterior, Any]:
        """The posterior, and the encoder's features [B, m^2]."""
        mu, logvar, features = apply(encoder, params["encoder"], images)
        return Posterior(mu, logvar), features

    def code(self, decoder: nn.Module, params: Params, z: jax.Array) -> jax.Array:
        """The matrix of the group, flattened, [B, m^2]."""
        return apply(decoder, params["decoder"], z, method="code")

    def decode(self, decoder: nn.Module, params: Params, code: jax.Array) -> jax.Array:
        """Matrices, or an encoder's features, [B, m^2] -> logits [B, H, W, C]."""
        return apply(decoder, params["decoder"], code, method="read")

    def reconstructed_code(self, batch: Batch) -> jax.Array:
        """The matrix or the features, as the coin decides for the whole batch."""
        instead = batch.noise.coin < batch.hyper.lie.feature_probability
        return jnp.where(instead, batch.extra, batch.code)

    @property
    def decodes_moved_latents(self) -> bool:
        """False for the published code, which never decodes moved latents."""
        return not self.official_equivariance


def _networks(
    config: Config, spec: Spec, bias_init: BiasInit
) -> tuple[nn.Module, nn.Module]:
    start: GeneratorInit = "xavier" if config.fidelity.published_init else "small"
    expm = lie_group.resolve(config.codebook.expm)
    return (
        LieEncoder(config.latent_dim, bias_init),
        LieDecoder(config.latent_dim, spec.channels, start, bias_init, expm),
    )


CLG_VAE = Entry(
    name="clg_vae",
    label="CLG-VAE",
    reference="Zhu et al. 2021",
    # It computes matrix exponentials of its own, also without a codebook.
    fields=("feature_weight", "lie", "codebook.expm"),
    make=lambda config, spec: CLGVAE(
        config.fidelity.lie_commutator_transposed,
        config.fidelity.lie_decoder_not_equivariant,
    ),
    networks=_networks,
    unread=("hidden",),  # its dense layers have the width of its authors' code
    published_codebook_scale=1e-6,
)
