"""beta-TCVAE."""

import dataclasses

from cfasl_jax.data.dataset import Spec
from cfasl_jax.errors import ConfigError
from cfasl_jax.losses import total_correlation
from cfasl_jax.objectives.base import Base, Batch, Entry, Losses, Term
from cfasl_jax.settings import Config


@dataclasses.dataclass(frozen=True)
class BetaTCVAE(Base):
    """MI + beta TC + dimension-wise KL (Chen et al., NeurIPS 2018).

    Attributes:
        dataset_size: N.
        official: whether the weights are those of the published code.
    """

    dataset_size: int
    official: bool = False

    def losses(self, batch: Batch) -> Losses:
        """MI, TC and dimension-wise KL; the KL itself is only logged."""
        mi, tc, dwkl = total_correlation.decompose(
            batch.z, *batch.posterior, self.dataset_size, batch.axis_name, self.official
        )
        return {
            "kl": Term(batch.kl(), None),
            "mi": Term(mi, 1.0),
            "tc": Term(tc, batch.hyper.beta),
            "dwkl": Term(dwkl, 1.0),
        }


def _make(config: Config, spec: Spec) -> BetaTCVAE:
    if config.batch_size > spec.num_images:
        raise ConfigError(
            f"beta_tcvae needs at least as many images as batch_size "
            f"({config.batch_size}), and {spec.name} has {spec.num_images}"
        )
    return BetaTCVAE(spec.num_images, config.fidelity.tc_weights_per_dimension)


BETA_TCVAE = Entry(
    name="beta_tcvae",
    label="beta-TCVAE",
    reference="Chen et al. 2018",
    fields=("beta",),
    make=_make,
)
