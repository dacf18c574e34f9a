"""The interface of base objectives: the terms that one adds to the reconstruction loss.

`objective` adds CFASL's terms to those of any base objective. Each family of base
objectives has a file with its class and its `Entry`; `cfasl_jax.objectives` lists the
entries.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import optax

from cfasl_jax.data.dataset import Spec
from cfasl_jax.losses import elbo
from cfasl_jax.losses.control import Controller
from cfasl_jax.models.vae import BiasInit, Decoder, Encoder
from cfasl_jax.settings import Config, Hyper
from cfasl_jax.types import Params, Posterior

# The path to a network in the tree of parameters, such as ("codebook", "heads").
NetworkPath = tuple[str, ...]


class Term(NamedTuple):
    """One term of the loss.

    Attributes:
        value: the mean over the batch, [].
        weight: its weight in the total; None for a term that is only logged.
    """

    value: jax.Array
    weight: chex.Numeric | None


Losses = dict[str, Term]


def weighted(losses: Losses) -> dict[str, jax.Array]:
    """The terms times their weights, without those that are only logged."""
    return {
        name: term.weight * term.value
        for name, term in losses.items()
        if term.weight is not None
    }


class Noise(NamedTuple):
    """All random numbers of one step.

    Attributes:
        eps: standard normal noise for the posterior's sample, [B, D].
        gumbel: standard Gumbel noise for the switch, [P, S, 2].
        element: index of the element that `perpendicular` uses in each section,
            int [S].
        coin: uniform on [0, 1), for CLG-VAE's choice of what to decode, [].
        permutation: one permutation of the global batch for each dimension, for
            FactorVAE's shuffled latents, int [B, D]. Every device has all of it.
    """

    eps: jax.Array
    gumbel: jax.Array
    element: jax.Array
    coin: jax.Array
    permutation: jax.Array


class Batch(NamedTuple):
    """An encoded batch, from which every term is computed.

    Attributes:
        posterior: posteriors of the images, [B, D].
        z: samples of the posteriors, [B, D].
        extra: whatever else the base objective's `encode` returned.
        code: the decoder's input for z, [B, ...]; z itself for most objectives.
        params: parameters of all networks.
        noise: see `Noise`.
        hyper: hyperparameters of this run, leaves [].
        step: number of steps before this one, int32 [].
        controller: state of Control-VAE's controller before this step.
        axis_name: device axis over which the batch is divided, or None.
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
    """A base objective; hashable. Most objectives only override `losses`."""

    def losses(self, batch: Batch) -> Losses:
        """All terms except the reconstruction; "kl" must be among them."""
        raise NotImplementedError

    # How encoder and decoder are called.

    def encode(
        self, encoder: nn.Module, params: Params, images: jax.Array
    ) -> tuple[Posterior, Any]:
        """Images [B, H, W, C] -> posterior [B, D], and the `extra` of `Batch`."""
        return Posterior(*apply(encoder, params["encoder"], images)), None

    def code(self, decoder: nn.Module, params: Params, z: jax.Array) -> jax.Array:
        """The decoder's input for z [B, D]."""
        del decoder, params
        return z

    def decode(self, decoder: nn.Module, params: Params, code: jax.Array) -> jax.Array:
        """The decoder's input, as `code` returns it -> logits [B, H, W, C]."""
        return apply(decoder, params["decoder"], code)

    def reconstructed_code(self, batch: Batch) -> jax.Array:
        """The decoder's input that reconstructs the images: the code of z."""
        return batch.code

    @property
    def decodes_moved_latents(self) -> bool:
        """Whether CFASL's decoder equivariance decodes latents that were moved."""
        return True

    # Further networks and state, besides encoder and decoder.

    def init(self, key: jax.Array, latent_dim: int) -> Params:
        """Parameters of further networks, by the name of the network."""
        del key, latent_dim
        return {}

    def optimizers(self) -> Mapping[str, optax.GradientTransformation]:
        """Optimisers of networks that are not trained with the others, by name."""
        return {}

    def learning_rates(self, hyper: Hyper) -> Mapping[NetworkPath, chex.Numeric]:
        """Learning rates of networks that do not use hyper.learning_rate."""
        del hyper
        return {}

    def advance(
        self, controller: Controller, step: jax.Array, kl: jax.Array, hyper: Hyper
    ) -> Controller:
        """The controller after a step whose KL of the global batch is `kl`, []."""
        del step, kl, hyper
        return controller


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
    """The description of a base objective in the list of all objectives.

    Attributes:
        name: its name in config.objective.
        label: its name in tables and figures.
        reference: authors and year.
        fields: names of the configuration's fields that the objective reads: dotted
            names of fields, or names of whole groups.
        unread: the same for common fields that it does not read.
        make: makes the objective for a configuration and a data set.
        networks: makes encoder and decoder, given the initialiser of their biases.
        published_codebook_scale: standard deviation of the codebook's first generators
            in the published code.
        spans_the_run: whether a schedule spans all of num_steps, so that a run cannot
            be continued beyond them.
    """

    name: str
    label: str
    reference: str
    fields: tuple[str, ...]
    make: Callable[[Config, Spec], Base]
    networks: Callable[[Config, Spec, BiasInit], tuple[nn.Module, nn.Module]] = (
        plain_networks
    )
    unread: tuple[str, ...] = ()
    published_codebook_scale: float = 1.0
    spans_the_run: bool = False
