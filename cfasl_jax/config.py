"""From a ConfigDict to frozen dataclasses: the one place that validates."""

import dataclasses
import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from cfasl_jax.errors import ConfigError, require_choice
from cfasl_jax.fidelity import FIDELITIES
from cfasl_jax.settings import Config as Config

DATASETS = ("dsprites", "shapes3d", "cars3d", "smallnorb", "celeba", "custom")
SOURCES = ("auto", "files", "tfds", "rendered")
CONVENTIONS = ("paper", "full")
LIKELIHOODS = ("auto", "bernoulli", "gaussian")
RESIDENCIES = ("auto", "resident", "streamed")
OBJECTIVES = (
    "beta_vae",
    "beta_tcvae",
    "control_vae",
    "clg_vae",
    "factor_vae",
    "dip_vae_i",
    "dip_vae_ii",
    "annealed_vae",
)
MODES = ("all", "train", "evaluate", "analyze")
PROTOCOLS = ("official", "official_histogram_dci", "dlib", "fast")
METRICS = (
    "fvm",
    "z_diff",
    "mig",
    "sap",
    "dci",
    "m_fvm",
    "modularity",
    "explicitness",
    "infomec",
    "irs",
)


def from_dict(fields: Mapping[str, Any]) -> Config:
    """Validate plain nested fields, such as `ConfigDict.to_dict()` gives.

    Raises:
        ConfigError: naming the field, its value and what would be valid.
    """
    fields = dict(fields)
    if isinstance(fields.get("fidelity"), Mapping):
        fields["fidelity"] = _fidelity(fields["fidelity"])
    config = _build(Config, fields, prefix="")
    _validate(config)
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """Plain nested fields, fit for JSON."""
    return dataclasses.asdict(config)


def flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields as one level with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _fidelity(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a preset and the switches that override it."""
    if "preset" not in fields:
        return dict(fields)
    require_choice("fidelity", fields["preset"], FIDELITIES)
    resolved = dataclasses.asdict(FIDELITIES[fields["preset"]])
    overrides = {
        name: value
        for name, value in fields.items()
        if name != "preset" and value is not None
    }
    return resolved | overrides


def _build(kind: type, fields: Mapping[str, Any], prefix: str) -> Any:
    """Build a dataclass, nested ones too, from fields of just its names and types."""
    types = get_type_hints(kind)
    for name in fields:
        require_choice("field", prefix + name, [prefix + known for known in types])
    for name in types:
        if name not in fields:
            raise ConfigError(f"the field {prefix}{name} is missing")
    values = {
        name: _convert(prefix + name, fields[name], types[name]) for name in types
    }
    return kind(**values)


def _convert(name: str, value: Any, kind: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        return _build(kind, value, prefix=f"{name}.")  # type: ignore[arg-type]
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        item = get_args(kind)[0]
        return tuple(_convert(f"{name}[{i}]", v, item) for i, v in enumerate(value))
    # bool is an int to Python, but True is no number of steps.
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if get_origin(kind) is UnionType:  # a type, or None for "not given"
        if value is None:
            return None
        kind = get_args(kind)[0]
        return _convert(name, value, kind)
    if not isinstance(kind, type) or type(value) is not kind:
        expected = getattr(kind, "__name__", str(kind))
        raise ConfigError(f"{name} must be of type {expected}, not {value!r}")
    return value


def _validate(config: Config) -> None:
    require_choice("data set", config.dataset, DATASETS)
    _validate_data(config)
    require_choice("objective", config.objective, OBJECTIVES)
    require_choice("eval.protocol", config.eval.protocol, PROTOCOLS)
    for name in config.eval.metrics:
        require_choice("metric", name, METRICS)
    _validate_ranges(config)
    if config.batch_size % 2:
        raise ConfigError(
            f"batch_size must be even, not {config.batch_size}: its two halves are "
            f"the two samples of each pair"
        )
    if config.checkpoint.every % config.log_every:
        raise ConfigError(
            f"checkpoint.every ({config.checkpoint.every}) must be a multiple of "
            f"log_every ({config.log_every})"
        )
    if not config.seeds or len(set(config.seeds)) != len(config.seeds):
        raise ConfigError(
            f"seeds must name at least one seed and none twice, not {config.seeds}"
        )
    below_sections = config.fidelity.perpendicular_below_sections
    if config.cfasl and below_sections and config.codebook.elements < config.latent_dim:
        raise ConfigError(
            f"codebook.elements ({config.codebook.elements}) must be at least "
            f"latent_dim ({config.latent_dim}) with "
            f"fidelity.perpendicular_below_sections, as in the published code"
        )


def _validate_data(config: Config) -> None:
    data = config.data
    require_choice("data.source", data.source, SOURCES)
    require_choice("data.convention", data.convention, CONVENTIONS)
    require_choice("data.likelihood", data.likelihood, LIKELIHOODS)
    require_choice("data.residency", data.residency, RESIDENCIES)
    of_no_use = data.source in ("tfds", "rendered")
    if of_no_use and (data.path or config.dataset == "custom"):
        what = f"data.path={data.path}" if data.path else "the data set custom"
        raise ConfigError(f"{what} needs data.source auto or files, not {data.source}")


def _validate_ranges(config: Config) -> None:
    at_least = {
        "latent_dim": (config.latent_dim, 1),
        "hidden": (config.hidden, 1),
        "codebook.elements": (config.codebook.elements, 1),
        "num_steps": (config.num_steps, 1),
        "batch_size": (config.batch_size, 2),
        "log_every": (config.log_every, 1),
        "checkpoint.every": (config.checkpoint.every, 1),
        "checkpoint.keep": (config.checkpoint.keep, 1),
        "beta": (config.beta, 0),
        "capacity": (config.capacity, 0),
        "feature_weight": (config.feature_weight, 0),
        "annealed.gamma": (config.annealed.gamma, 0),
        "annealed.steps": (config.annealed.steps, 1),
        "factor.gamma": (config.factor.gamma, 0),
        "dip.lambda_od": (config.dip.lambda_od, 0),
        "dip.lambda_d": (config.dip.lambda_d or 0, 0),
        "threshold": (config.threshold, 0),
        **{
            f"{group}.{name}": (value, 0)
            for group in ("weights", "control", "lie")
            for name, value in dataclasses.asdict(getattr(config, group)).items()
        },
        "control.beta_max": (config.control.beta_max, config.control.beta_min),
        **{f"seeds[{i}]": (seed, 0) for i, seed in enumerate(config.seeds)},
    }
    for name, (value, least) in at_least.items():
        if not (math.isfinite(value) and value >= least):
            raise ConfigError(f"{name} must be at least {least}, not {value}")
    above_zero = {
        "learning_rate": config.learning_rate,
        "clip_norm": config.clip_norm,
        "codebook.scale": config.codebook.scale,
        "codebook.temperature": config.codebook.temperature,
        "codebook.learning_rate": config.codebook.learning_rate,
        "factor.learning_rate": config.factor.learning_rate,
    }
    for name, value in above_zero.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be above 0, not {value}")
    if config.lie.feature_probability > 1:
        raise ConfigError(
            f"lie.feature_probability must be at most 1, not "
            f"{config.lie.feature_probability}"
        )
    if max(config.seeds, default=0) >= 2**31:
        raise ConfigError(f"seeds must be below 2^31, not {max(config.seeds)}")
