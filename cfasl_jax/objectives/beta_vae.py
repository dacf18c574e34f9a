"""beta-VAE, and the annealed VAE that was derived from it."""

import dataclasses

import jax.numpy as jnp

from cfasl_jax.objectives.base import Base, Batch, Entry, Losses, Term


@dataclasses.dataclass(frozen=True)
class BetaVAE(Base):
    """beta KL (Higgins et al., ICLR 2017)."""

    def losses(self, batch: Batch) -> Losses:
        """KL."""
        return {"kl": Term(batch.kl(), batch.hyper.beta)}


@dataclasses.dataclass(frozen=True)
class AnnealedVAE(Base):
    """gamma |KL - C_t|, with a capacity that rises from 0 (Burgess et al., 2018)."""

    def losses(self, batch: Batch) -> Losses:
        """The distance from the capacity; the KL itself is only logged."""
        annealed = batch.hyper.annealed
        share = jnp.minimum(batch.step / annealed.steps, 1.0)
        gap = jnp.abs(batch.global_kl() - share * batch.hyper.capacity)
        return {
            "kl": Term(batch.kl(), None),
            "capacity_gap": Term(gap, annealed.gamma),
        }


BETA_VAE = Entry(
    name="beta_vae",
    label="beta-VAE",
    reference="Higgins et al. 2017",
    fields=("beta",),
    make=lambda config, spec: BetaVAE(),
)
ANNEALED_VAE = Entry(
    name="annealed_vae",
    label="annealed VAE",
    reference="Burgess et al. 2018",
    fields=("capacity", "annealed"),
    make=lambda config, spec: AnnealedVAE(),
)
