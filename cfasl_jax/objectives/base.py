"""What a base objective is: the terms that it adds to the reconstruction loss.

CFASL's terms come on top of any of them, in `objective`. One file a family of base
objectives holds its class and its `Entry`; the list of entries is in the package.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import optax

from cfasl_jax.data.dataset import Spec
from cfasl_jax.losses import control, elbo
from cfasl_jax.losses.control import Controller
from cfasl_jax.models.vae import BiasInit, Decoder, Encoder
from cfasl_jax.settings import Config, Hyper
from cfasl_jax.types import Params, Posterior

# A network's parameters by the names on the way to them, such as ("codebook", "heads").
Path = tuple[str, ...]


class Term(NamedTuple):
    """One term of the loss.

    Attributes:
        value: the mean over the batch, [].
        weight: by which it enters the total; None: it is only logged.
    """

    value: jax.Array
    weight: chex.Numeric | None


Losses = dict[str, Term]


class Noise(NamedTuple):
    """All that is random in one step.

    Attributes:
        eps: standard normal, of the posterior's sample, [B, D].
        gumbel: standard Gumbel, of the switch, [P, S, 2].
        element: the element that perpendicular looks at in each section, int [S].
        coin: uniform on [0, 1), of CLG-VAE's choice what to decode, [].
        permutation: one a dimension of the places in the global batch, of FactorVAE's
            shuffled latents, int [B, D]; whole on every device.
    """

    eps: jax.Array
    gumbel: jax.Array
    element: jax.Array
    coin: jax.Array
    permutation: jax.Array


class Batch(NamedTuple):
    """A batch under the model, from which every term is computed.

    Attributes:
        posterior: of the images, [B, D].
        z: its sample, [B, D].
        extra: whatever else the base objective's `encode` returned.
        code: what the decoder reads for z, [B, ...]; z itself for most.
        params: of all networks.
        noise: see `Noise`.
        hyper: of this run, leaves [].
        step: steps taken before this one, int32 [].
        controller: Control-VAE's, before this step.
        axis_name: device axis over which the batch is shared out, or None.
    """

    posterior: Posterior
    z: jax.Array
    extra: Any
    code: jax.Array
    params: Params
    noise: Noise
    hyper: Hyper
    step: jax.Array
    controller: Controller
    axis_name: str | None

    def kl(self) -> jax.Array:
        """Mean KL divergence of this device's samples, []."""
        return elbo.kl(*self.posterior).mean()

    def global_kl(self) -> jax.Array:
        """Mean KL divergence of the global batch, []."""
        kl = self.kl()
        return kl if self.axis_name is None else jax.lax.pmean(kl, self.axis_name)


@dataclasses.dataclass(frozen=True)
class Base:
    """A base objective; hashable. Most override `losses` alone."""

    def losses(self, batch: Batch) -> Losses:
        """All terms but the reconstruction's; "kl" is always among them."""
        raise NotImplementedError

    # The way through encoder and decoder.

    def encode(
        self, encoder: nn.Module, params: Params, images: jax.Array
    ) -> tuple[Posterior, Any]:
        """Images [B, H, W, C] -> posterior [B, D], and what `losses` needs besides."""
        return Posterior(*apply(encoder, params["encoder"], images)), None

    def code(self, decoder: nn.Module, params: Params, z: jax.Array) -> jax.Array:
        """What the decoder reads for z [B, D]."""
        del decoder, params
        return z

    def decode(self, decoder: nn.Module, params: Params, code: jax.Array) -> jax.Array:
        """What `code` gives -> logits [B, H, W, C]."""
        return apply(decoder, params["decoder"], code)

    def reconstructed_code(self, batch: Batch) -> jax.Array:
        """What the decoder reads to reconstruct the images: the code of z."""
        return batch.code

    @property
    def decodes_moved_latents(self) -> bool:
        """Whether the decoder's equivariance is a loss of its own with CFASL."""
        return True

    # Networks and memory beyond encoder and decoder.

    def init(self, key: jax.Array, latent_dim: int) -> Params:
        """Parameters of further networks, an entry a network."""
        del key, latent_dim
        return {}

    def optimizers(self) -> Mapping[str, optax.GradientTransformation]:
        """Of networks that are not trained with the others, by their entry."""
        return {}

    def learning_rates(self, hyper: Hyper) -> Mapping[Path, chex.Numeric]:
        """Of networks that do not take hyper.learning_rate."""
        del hyper
        return {}

    def advance(
        self, controller: Controller, step: jax.Array, kl: jax.Array, hyper: Hyper
    ) -> Controller:
        """The controller after a step with this KL of the global batch, []."""
        del step, kl, hyper
        return controller


def start() -> Controller:
    """The controller before the first step."""
    return control.start()


def apply(
    module: nn.Module, params: Params, *inputs: jax.Array, method: str | None = None
) -> Any:
    """Run a Flax module on its own parameters."""
    return module.apply({"params": params}, *inputs, method=method)


def plain_networks(
    config: Config, spec: Spec, bias_init: BiasInit
) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of the VAE."""
    return (
        Encoder(config.hidden, config.latent_dim, bias_init),
        Decoder(config.hidden, spec.channels, bias_init),
    )


@dataclasses.dataclass(frozen=True)
class Entry:
    """A base objective by its name.

    Attributes:
        name: as in config.objective.
        label: as in tables and figures.
        reference: authors and year.
        fields: of the configuration that the objective reads, dotted or whole groups.
        make: the objective for a configuration and a data set.
        networks: encoder and decoder, given the initialiser of their biases.
        published_codebook_scale: at which the published code starts the codebook.
        spans_the_run: whether a schedule spans all of num_steps, so that a run cannot
            be prolonged.
    """

    name: str
    label: str
    reference: str
    fields: tuple[str, ...]
    make: Callable[[Config, Spec], Base]
    networks: Callable[[Config, Spec, BiasInit], tuple[nn.Module, nn.Module]] = (
        plain_networks
    )
    published_codebook_scale: float = 1.0
    spans_the_run: bool = False
