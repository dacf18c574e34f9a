"""What is minimised: a base objective, alone or with CFASL, with one interface.

An `Objective` bundles Flax modules and choices that are fixed for a run; all arrays are
arguments. Hyperparameters that a sweep varies are traced, so that one compiled program
serves every setting. Noise is an argument too, so that a loss is a pure function, which
can be compared with an independent implementation.

`OBJECTIVES` lists the base objectives. A new one needs a file in this folder and a line
in this list.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from cfasl_jax import codebook as codebook_lib
from cfasl_jax import lie_group
from cfasl_jax.codebook import Codebook
from cfasl_jax.data.dataset import Spec
from cfasl_jax.errors import require_choice
from cfasl_jax.models import vae
from cfasl_jax.objectives.base import Entry, Noise
from cfasl_jax.objectives.beta_tcvae import BETA_TCVAE
from cfasl_jax.objectives.beta_vae import ANNEALED_VAE, BETA_VAE
from cfasl_jax.objectives.cfasl import CFASL
from cfasl_jax.objectives.clg_vae import CLG_VAE
from cfasl_jax.objectives.control_vae import CONTROL_VAE
from cfasl_jax.objectives.dip_vae import DIP_VAE_I, DIP_VAE_II
from cfasl_jax.objectives.factor_vae import FACTOR_VAE
from cfasl_jax.objectives.objective import Objective
from cfasl_jax.settings import Config, belongs, flatten

__all__ = ["OBJECTIVES", "Entry", "Noise", "Objective", "build", "read_fields"]

OBJECTIVES: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        BETA_VAE,
        BETA_TCVAE,
        CONTROL_VAE,
        CLG_VAE,
        FACTOR_VAE,
        DIP_VAE_I,
        DIP_VAE_II,
        ANNEALED_VAE,
    )
}


# Fields that are only read with CFASL, besides the switches of `fidelity`.
_OF_CFASL = ("codebook", "weights", "threshold", "ours")
# Fields that the published code does not read, and the switches of fidelity by which.
_UNPUBLISHED = {
    "codebook.scale": "published_init",
    "codebook.temperature": "soft_noisy_switch",
    "control.ki": "frozen_integral",
}


def read_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that its run reads, by their dotted names.

    Fields of other objectives are not read, nor are those of CFASL by a baseline.

    Args:
        config: nested, as any version has stored it.
    """
    entry = OBJECTIVES.get(str(config.get("objective")))
    of_any = tuple(chain(*(other.fields for other in OBJECTIVES.values())))
    switches = config.get("fidelity")

    def is_read(name: str) -> bool:
        if isinstance(switches, Mapping) and switches.get(_UNPUBLISHED.get(name)):
            return False
        if entry and belongs(name, entry.fields):
            return True
        if belongs(name, _OF_CFASL):
            return bool(config.get("cfasl"))
        return entry is None or not belongs(name, (*of_any, *entry.unread))

    return {name: value for name, value in flatten(config).items() if is_read(name)}


def build(config: Config, spec: Spec) -> Objective:
    """The objective that a configuration asks for, on a data set.

    Raises:
        ConfigError: if a stored configuration names an objective that no longer exists.
    """
    require_choice("objective", config.objective, OBJECTIVES)
    entry = OBJECTIVES[config.objective]
    bias_init = _bias_init(config)
    encoder, decoder = entry.networks(config, spec, bias_init)
    cfasl = None
    if config.cfasl:
        published = config.fidelity.published_init
        inputs = codebook_lib.num_features(config.latent_dim, config.ours.even_heads)
        codebook = Codebook(
            latent_dim=config.latent_dim,
            elements=config.codebook.elements,
            scale=(
                entry.published_codebook_scale if published else config.codebook.scale
            ),
            bias_init=bias_init(inputs),
            even_heads=config.ours.even_heads,
            action=config.ours.action,
        )
        expm = lie_group.resolve(config.codebook.expm)
        cfasl = CFASL(codebook, config.fidelity, expm, config.ours)
    return Objective(
        encoder=encoder,
        decoder=decoder,
        base=entry.make(config, spec),
        cfasl=cfasl,
        likelihood=spec.likelihood,
        latent_dim=config.latent_dim,
    )


def _bias_init(config: Config) -> vae.BiasInit:
    if not config.fidelity.published_init:
        return vae.zero_bias
    return vae.unit_bias if config.cfasl else vae.fan_in_bias
