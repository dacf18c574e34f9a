"""From a configuration to an objective and its hyperparameters."""

import jax
import jax.numpy as jnp

from cfasl_jax.codebook import Codebook
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.losses.control import Gains
from cfasl_jax.models import lie_vae, vae
from cfasl_jax.models.discriminator import Discriminator
from cfasl_jax.objectives import bases
from cfasl_jax.objectives.arguments import Hyper
from cfasl_jax.objectives.bases import Base
from cfasl_jax.objectives.objective import Objective
from cfasl_jax.settings import Config

# DIP-VAE's lambda_d where it is not given, in units of lambda_od (Kumar et al. 2018).
_DIP_RATIOS = {"dip_vae_i": 10.0, "dip_vae_ii": 1.0}

# On CLG-VAE the published codebook starts at this scale, elsewhere at 1.
_PUBLISHED_LIE_SCALE = 1e-6


def build(config: Config, dataset: Dataset) -> Objective:
    """The objective that a configuration asks for, on a data set."""
    bias_init = _bias_init(config)
    encoder: vae.Encoder | lie_vae.LieEncoder
    decoder: vae.Decoder | lie_vae.LieDecoder
    D = config.latent_dim
    if config.objective == "clg_vae":
        start: lie_vae.GeneratorInit = (
            "xavier" if config.fidelity.published_init else "small"
        )
        encoder = lie_vae.LieEncoder(D, bias_init)
        decoder = lie_vae.LieDecoder(D, dataset.channels, start, bias_init)
    else:
        encoder = vae.Encoder(config.hidden, D, bias_init)
        decoder = vae.Decoder(config.hidden, dataset.channels, bias_init)
    return Objective(
        encoder=encoder,
        decoder=decoder,
        codebook=_codebook(config) if config.cfasl else None,
        likelihood=dataset.likelihood,
        fidelity=config.fidelity,
        base=_base(config, dataset.num_images),
    )


def _base(config: Config, num_images: int) -> Base:
    fidelity = config.fidelity
    by_name: dict[str, Base] = {
        "beta_vae": bases.BetaVAE(),
        "beta_tcvae": bases.BetaTCVAE(num_images, fidelity.tc_weights_per_dimension),
        "control_vae": bases.ControlVAE(fidelity.frozen_integral),
        "clg_vae": bases.CLGVAE(fidelity.lie_commutator_transposed),
        "factor_vae": bases.FactorVAE(Discriminator()),
        "dip_vae_i": bases.DIPVAE(of_samples=False),
        "dip_vae_ii": bases.DIPVAE(of_samples=True),
        "annealed_vae": bases.AnnealedVAE(),
    }
    return by_name[config.objective]


def _codebook(config: Config) -> Codebook:
    scale = config.codebook.scale
    if config.fidelity.published_init:
        scale = _PUBLISHED_LIE_SCALE if config.objective == "clg_vae" else 1.0
    return Codebook(
        latent_dim=config.latent_dim,
        elements=config.codebook.elements,
        scale=scale,
        bias_init=_bias_init(config)(4 * config.latent_dim),
    )


def _bias_init(config: Config) -> vae.BiasInit:
    if not config.fidelity.published_init:
        return vae.zero_bias
    return vae.unit_bias if config.cfasl else vae.fan_in_bias


def hyper(config: Config) -> Hyper:
    """The hyperparameters that are traced, as float32 scalars."""
    annealed = config.objective == "annealed_vae"
    lambda_d = config.dip.lambda_d
    if lambda_d is None:
        lambda_d = _DIP_RATIOS.get(config.objective, 1.0) * config.dip.lambda_od
    values = Hyper(
        beta=config.beta,
        capacity=config.capacity,
        ramp_steps=config.annealed.steps if annealed else config.num_steps,
        feature_weight=config.feature_weight,
        gains=Gains(
            kp=config.control.kp,
            ki=config.control.ki,
            beta_min=config.control.beta_min,
            beta_max=config.control.beta_max,
        ),
        hessian=config.lie.hessian,
        lie_commutator=config.lie.commutator,
        feature_probability=config.lie.feature_probability,
        factor_gamma=config.factor.gamma,
        discriminator_learning_rate=config.factor.learning_rate,
        lambda_od=config.dip.lambda_od,
        lambda_d=lambda_d,
        annealed_gamma=config.annealed.gamma,
        alpha=config.weights.alpha,
        gamma=config.weights.gamma,
        lamb=config.weights.lamb,
        epsilon=config.weights.epsilon,
        threshold=config.threshold,
        temperature=config.codebook.temperature,
        learning_rate=config.learning_rate,
        codebook_learning_rate=config.codebook.learning_rate,
    )
    return jax.tree.map(jnp.float32, values)
