"""DIP-VAE I and II."""

import dataclasses

from cfasl_jax.losses import dip
from cfasl_jax.objectives.base import Base, Batch, Entry, Losses, Term


@dataclasses.dataclass(frozen=True)
class DIPVAE(Base):
    """KL, and penalties on the latents' covariance (Kumar et al., ICLR 2018).

    Attributes:
        of_samples: True for DIP-VAE II, which uses the covariance of z; False for
            DIP-VAE I, which uses that of the posterior mean.
    """

    of_samples: bool

    @property
    def diagonal_ratio(self) -> float:
        """lambda_d / lambda_od if lambda_d is not given (Kumar et al. 2018)."""
        return 1.0 if self.of_samples else 10.0

    def losses(self, batch: Batch) -> Losses:
        """KL, and the covariance's distance from the identity."""
        mu, logvar = batch.posterior
        off_diagonal, diagonal = dip.penalties(
            mu, logvar if self.of_samples else None, batch.axis_name
        )
        weights = batch.hyper.dip
        lambda_d = weights.lambda_d
        if lambda_d is None:
            lambda_d = self.diagonal_ratio * weights.lambda_od
        return {
            "kl": Term(batch.kl(), 1.0),
            "off_diagonal": Term(off_diagonal, weights.lambda_od),
            "diagonal": Term(diagonal, lambda_d),
        }


DIP_VAE_I = Entry(
    name="dip_vae_i",
    label="DIP-VAE I",
    reference="Kumar et al. 2018",
    fields=("dip",),
    make=lambda config, spec: DIPVAE(of_samples=False),
)
DIP_VAE_II = dataclasses.replace(
    DIP_VAE_I,
    name="dip_vae_ii",
    label="DIP-VAE II",
    make=lambda config, spec: DIPVAE(of_samples=True),
)
