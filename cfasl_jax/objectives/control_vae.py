"""Control-VAE."""

import dataclasses

import jax

from cfasl_jax.losses import control
from cfasl_jax.losses.control import Controller
from cfasl_jax.objectives.base import Base, Batch, Entry, Losses, Term
from cfasl_jax.settings import Hyper


@dataclasses.dataclass(frozen=True)
class ControlVAE(Base):
    """beta_t KL, with beta_t from a controller (Shao et al., ICML 2020).

    Attributes:
        official: whether the controller is that of the published code, which never
            integrates, and through which gradients flow. The published code also
            advances the set point in evaluation; this is not reproduced.
    """

    official: bool = False

    def losses(self, batch: Batch) -> Losses:
        """KL, weighted by the controller's beta, which is logged as well."""
        hyper = batch.hyper
        error = _error(batch.step, batch.global_kl(), hyper)
        if self.official:
            beta = control.proportional(error, hyper.control)
        else:
            error = jax.lax.stop_gradient(error)
            _, beta = control.advance(batch.controller, error, hyper.control)
        return {"kl": Term(batch.kl(), beta), "beta": Term(beta, None)}

    def advance(
        self, controller: Controller, step: jax.Array, kl: jax.Array, hyper: Hyper
    ) -> Controller:
        """The PI controller's step; the published one never changes."""
        if self.official:
            return controller
        return control.advance(controller, _error(step, kl, hyper), hyper.control)[0]


def _error(step: jax.Array, kl: jax.Array, hyper: Hyper) -> jax.Array:
    """Set point minus KL, []."""
    return control.set_point(step, hyper.num_steps, hyper.capacity) - kl


CONTROL_VAE = Entry(
    name="control_vae",
    label="Control-VAE",
    reference="Shao et al. 2020",
    fields=("capacity", "control"),
    make=lambda config, spec: ControlVAE(config.fidelity.frozen_integral),
    spans_the_run=True,
)
