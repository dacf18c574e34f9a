"""From a ConfigDict to frozen dataclasses: the one place that validates."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_origin, get_type_hints

DATASETS = ("dsprites", "shapes3d")
SOURCES = ("auto", "tfds", "rendered")
OBJECTIVES = ("beta_vae",)
MODES = ("all", "train", "evaluate", "analyze")
PROTOCOLS = ("official", "dlib", "fast")
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


class ConfigError(ValueError):
    """What the user asked for cannot be done; the message is one clear sentence."""


def require_choice(kind: str, value: object, choices: Iterable[str]) -> None:
    """Raise a ConfigError that lists the choices unless the value is one of them."""
    choices = tuple(choices)
    if value in choices:
        return
    hint = near_miss(value, choices)
    raise ConfigError(f"unknown {kind} {value!r}: one of {', '.join(choices)}{hint}")


def near_miss(value: object, choices: Iterable[str]) -> str:
    """The end of a sentence that suggests the nearest choice; empty if none is near."""
    near = difflib.get_close_matches(str(value), list(choices), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@dataclasses.dataclass(frozen=True)
class Data:
    """Where images come from; fields as in configs/default.py."""

    source: str
    dir: str


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """What is computed as in the published code rather than as in the paper.

    All False is the preset "corrected", all True the preset "official".

    Attributes:
        sigma2_from_mu: sigma2 in the heads' input is exp(mu2 / 2), a slip.
        double_softmax: the factor prediction's cross-entropy is taken of
            probabilities as if they were logits.
        targets_from_sample: a factor counts as changed by the sampled z, by which a
            collapsed dimension changes nine times in ten.
        commutator_memory_order: the commutator pairs blocks of the codebook re-read in
            memory order, of the first L generators alone, early pairs weighing most.
        perpendicular_below_sections: perpendicular draws element indices below S, so
            that later elements are never drawn.
        soft_noisy_switch: the switch is a Gumbel-softmax at temperature 1e-4, with
            noise in evaluation too.
        published_init: biases start at U(0, 1) with CFASL and at PyTorch's default
            without, the codebook at N(0, 1).
    """

    sigma2_from_mu: bool = False
    double_softmax: bool = False
    targets_from_sample: bool = False
    commutator_memory_order: bool = False
    perpendicular_below_sections: bool = False
    soft_noisy_switch: bool = False
    published_init: bool = False


FIDELITIES: dict[str, Fidelity] = {
    "corrected": Fidelity(),
    "official": Fidelity(
        **{field.name: True for field in dataclasses.fields(Fidelity)}
    ),
}


@dataclasses.dataclass(frozen=True)
class Codebook:
    """The symmetry codebook; fields as in configs/default.py."""

    elements: int
    scale: float
    temperature: float
    learning_rate: float


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of CFASL's losses; fields as in configs/default.py."""

    alpha: float
    gamma: float
    lamb: float
    epsilon: float


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """When checkpoints are written; fields as in configs/default.py."""

    every: int
    keep: int


@dataclasses.dataclass(frozen=True)
class Eval:
    """How a run is scored; fields as in configs/default.py."""

    protocol: str
    metrics: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Config:
    """A validated configuration; fields as in configs/default.py."""

    dataset: str
    objective: str
    cfasl: bool
    data: Data
    fidelity: Fidelity
    latent_dim: int
    hidden: int
    codebook: Codebook
    beta: float
    weights: Weights
    threshold: float
    seeds: tuple[int, ...]
    num_steps: int
    batch_size: int
    learning_rate: float
    clip_norm: float
    log_every: int
    checkpoint: Checkpoint
    eval: Eval

    @property
    def num_pairs(self) -> int:
        """P, pairs in the global batch."""
        return self.batch_size // 2


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
    if not isinstance(kind, type) or type(value) is not kind:
        expected = getattr(kind, "__name__", str(kind))
        raise ConfigError(f"{name} must be of type {expected}, not {value!r}")
    return value


def _validate(config: Config) -> None:
    require_choice("data set", config.dataset, DATASETS)
    require_choice("data.source", config.data.source, SOURCES)
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
        "threshold": (config.threshold, 0),
        **{
            f"weights.{name}": (value, 0)
            for name, value in dataclasses.asdict(config.weights).items()
        },
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
    }
    for name, value in above_zero.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be above 0, not {value}")
    if max(config.seeds, default=0) >= 2**31:
        raise ConfigError(f"seeds must be below 2^31, not {max(config.seeds)}")
