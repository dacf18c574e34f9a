"""Validation of plain fields and their conversion to a frozen `settings.Config`."""

import dataclasses
import math
import operator
import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import jax

from cfasl_jax import data, metrics, objectives
from cfasl_jax.codebook import ACTIONS
from cfasl_jax.errors import ConfigError, require_choice
from cfasl_jax.lie_group import EXPMS
from cfasl_jax.settings import FIDELITIES, Config, heads_learning_rate, num_elements

MODES = ("all", "train", "evaluate", "analyze")
PRECISIONS = ("default", "high", "highest")

# Numbers become float32 or int32 on the device.
_MOST_FLOAT, _MOST_INT = 1e30, 2**31 - 1
# Where a number must be above 0. Far smaller ones are 0 on the device, or overflow.
_LEAST_FLOAT = 1e-30


def file_at(path: Path) -> Path:
    """A file of configs/: the one at this path, else the copy in the installed package.

    An installed package has its copy in its own folder; a checkout has none there.
    """
    own = Path(__file__).parent / path
    # Unlike the methods of Path, these functions accept any string as a path.
    return own if os.path.isfile(own) and not os.path.exists(path) else path


def from_dict(fields: Mapping[str, Any]) -> Config:
    """Validate plain nested fields, such as `ConfigDict.to_dict()` gives.

    Raises:
        ConfigError: naming the field, its value and what would be valid.
    """
    config = _build(Config, _resolved(fields), prefix="")
    validate(config)
    return config


def from_stored(fields: Mapping[str, Any]) -> tuple[Config, list[str]]:
    """The configuration of a run that any earlier or later version has stored.

    A field that the version did not have yet gets its default from `settings`, which
    reproduces the behaviour of that time. Names of choices are not checked: a run may
    name a protocol that no longer exists, and can still be loaded. Call `validate`
    before the configuration is used to train or to score.

    Args:
        fields: as returned by `to_dict`.

    Returns:
        The configuration, and the dotted names of fields that this version does not
        know and has left out.

    Raises:
        ConfigError: if a field has a value of another type or out of its range, or
            is missing and has no default.
    """
    known, unknown = _known(Config, fields, prefix="")
    config = _build(Config, known, prefix="")
    _validate_ranges(config, prefix="")
    return config, unknown


def to_dict(config: Config) -> dict[str, Any]:
    """Plain nested fields, fit for JSON."""
    return dataclasses.asdict(config)


def validate(config: Config) -> None:
    """Raise a ConfigError unless every value is one of its choices and in its range."""
    require_choice("data set", config.dataset, data.NAMES)
    require_choice("objective", config.objective, objectives.OBJECTIVES)
    require_choice("codebook.expm", config.codebook.expm, ("auto", *EXPMS))
    require_choice("ours.action", config.ours.action, ACTIONS)
    require_choice("matmul_precision", config.matmul_precision, PRECISIONS)
    require_choice("eval.protocol", config.eval.protocol, metrics.PROTOCOLS)
    for name in config.eval.metrics:
        require_choice("metric", name, metrics.METRICS)
    _validate_data(config)
    _validate_ranges(config, prefix="")
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
    if config.eval.every % config.log_every:
        raise ConfigError(
            f"eval.every ({config.eval.every}) must be a multiple of log_every "
            f"({config.log_every}), or 0"
        )
    _validate_runs(config)
    _validate_together(config, read=_read_fields(config))
    below_sections = config.fidelity.perpendicular_below_sections
    if config.cfasl and below_sections and config.codebook.elements < config.latent_dim:
        raise ConfigError(
            f"codebook.elements ({config.codebook.elements}) must be at least "
            f"latent_dim ({config.latent_dim}) with "
            f"fidelity.perpendicular_below_sections, as in the published code"
        )


def _read_fields(config: Config) -> dict[str, Any]:
    return objectives.read_fields(to_dict(config))


def _validate_together(
    config: Config, read: Mapping[str, Any], prefix: str = ""
) -> None:
    """Check the fields that limit each other, of those that one run reads."""
    crossed = config.control.beta_max < config.control.beta_min
    if "control.beta_min" in read and crossed:
        raise ConfigError(
            f"{prefix}control.beta_max ({config.control.beta_max}) must be at least "
            f"control.beta_min ({config.control.beta_min})"
        )
    near_partners = "threshold" in read and config.ours.near_partners
    if near_partners and config.threshold <= 0:
        raise ConfigError(
            f"{prefix}threshold must be above 0 with ours.near_partners, which chooses "
            "partners by it"
        )
    given_axes = "ours.action" in read and config.ours.action == "axes"
    if given_axes and config.codebook.elements % 2:
        raise ConfigError(
            f"codebook.elements must be even with ours.action=axes, not "
            f"{config.codebook.elements}: the middle one would translate by 0"
        )


def _validate_runs(config: Config) -> None:
    """Check that all runs differ from each other and have values in range."""
    twice = not config.per_run and len(set(config.seeds)) != len(config.seeds)
    if not config.seeds or twice:
        raise ConfigError(
            f"seeds must name at least one seed and none twice, not {config.seeds}"
        )
    if not config.per_run:
        return
    traced, names = traced_fields(config), [name for name, _ in config.per_run]
    for name, values in config.per_run:
        require_choice("field in per_run", name, traced)
        if names.count(name) > 1:
            raise ConfigError(f"per_run has {name} more than once")
        if len(values) != len(config.seeds):
            raise ConfigError(
                f"per_run has {len(values)} values of {name} for {len(config.seeds)} "
                "seeds: give one for each"
            )
        whole = isinstance(operator.attrgetter(name)(config), int)
        if whole and not all(float(value).is_integer() for value in values):
            raise ConfigError(f"per_run must have whole numbers for {name}")
    runs = [config.of_run(run) for run in range(len(config.seeds))]
    read = [_read_fields(run) for run in runs]
    for name in names:
        if not any(name in fields for fields in read):
            raise ConfigError(f"per_run has {name}, which this run does not read")
    for number, (run, fields) in enumerate(zip(runs, read, strict=True)):
        _validate_ranges(run, prefix=f"run {number}: ")
        _validate_together(run, fields, prefix=f"run {number}: ")
    if any(fields in read[:run] for run, fields in enumerate(read)):
        raise ConfigError(
            "two runs of per_run have the same seed and the same values of all fields "
            f"that {config.objective} reads"
        )


def traced_fields(config: Config) -> list[str]:
    """Dotted names of the hyperparameters that may differ between runs."""
    # A number may take the place of None.
    paths, _ = jax.tree_util.tree_flatten_with_path(
        config.hyper, is_leaf=lambda leaf: leaf is None
    )
    names = [".".join(key.name for key in path) for path, _ in paths]
    # num_steps belongs to the whole program.
    return [name for name in names if name != "num_steps"]


def _validate_data(config: Config) -> None:
    options = config.data
    require_choice("data.source", options.source, data.SOURCES)
    require_choice("data.convention", options.convention, data.CONVENTIONS)
    require_choice("data.likelihood", options.likelihood, data.LIKELIHOODS)
    require_choice("data.residency", options.residency, data.RESIDENCIES)
    of_no_use = options.source in ("tfds", "rendered")
    if of_no_use and (options.path or config.dataset == "custom"):
        what = f"data.path={options.path}" if options.path else "the data set custom"
        raise ConfigError(
            f"{what} needs data.source auto or files, not {options.source}"
        )


def _validate_ranges(group: Any, prefix: str) -> None:
    """Check the bounds that `settings` declares for each number.

    A group's own numbers come before those of the groups in it, which may follow from
    them, so that a message names the number that was given.
    """

    def is_group(field: dataclasses.Field[Any]) -> bool:
        return dataclasses.is_dataclass(getattr(group, field.name))

    for field in sorted(dataclasses.fields(group), key=is_group):
        name, value = prefix + field.name, getattr(group, field.name)
        if is_group(field):
            _validate_ranges(value, f"{name}.")
        elif isinstance(value, tuple):
            for i, item in enumerate(value):
                _require_in_range(f"{name}[{i}]", item, field.metadata)
        else:
            _require_in_range(name, value, field.metadata)


def _require_in_range(name: str, value: Any, bounds: Mapping[str, Any]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, not {value}")
    ceiling = _MOST_FLOAT if isinstance(value, float) else _MOST_INT
    least, above = bounds.get("least"), bounds.get("above")
    most = bounds.get("most", ceiling)
    if least is not None and value < least:
        raise ConfigError(f"{name} must be at least {least}, not {value}")
    if above is not None and value <= above:
        raise ConfigError(f"{name} must be above {above}, not {value}")
    if above == 0 and value < _LEAST_FLOAT:
        raise ConfigError(f"{name} must be at least {_LEAST_FLOAT}, not {value}")
    if value > most:
        raise ConfigError(f"{name} must be at most {most:,}, not {value}")


def _resolved(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields in which those that follow from others are filled in.

    The preset of fidelity is replaced by its switches. If they are not given, the
    codebook's number of elements follows from the preset, and the learning rate of its
    heads from the main one.
    """
    fields = dict(fields)
    fidelity = fields.get("fidelity")
    preset = fidelity.get("preset") if isinstance(fidelity, Mapping) else None
    if isinstance(fields.get("codebook"), Mapping):
        implied: dict[str, Any] = {"elements": num_elements(str(preset))}
        if "learning_rate" in fields:
            rate = _convert("learning_rate", fields["learning_rate"], float)
            implied["learning_rate"] = heads_learning_rate(rate)
        fields["codebook"] = {
            name: implied.get(name) if value is None else value
            for name, value in fields["codebook"].items()
        }
    if isinstance(fidelity, Mapping) and "preset" in fidelity:
        require_choice("fidelity", fidelity["preset"], FIDELITIES)
        switches = dataclasses.asdict(FIDELITIES[fidelity["preset"]])
        chosen = {
            name: value
            for name, value in fidelity.items()
            if name != "preset" and value is not None
        }
        fields["fidelity"] = switches | chosen
    return fields


def _known(
    kind: type, fields: Mapping[str, Any], prefix: str
) -> tuple[dict[str, Any], list[str]]:
    """The fields that a dataclass has, also nested ones, and the names of others."""
    known: dict[str, Any] = {}
    unknown: list[str] = []
    types = get_type_hints(kind)
    for name, value in fields.items():
        if name not in types:
            unknown.append(prefix + name)
            continue
        if dataclasses.is_dataclass(types[name]) and isinstance(value, Mapping):
            value, more = _known(types[name], value, f"{prefix}{name}.")
            unknown += more
        known[name] = value
    return known, unknown


def _build(kind: type, fields: Mapping[str, Any], prefix: str) -> Any:
    """Build a dataclass and those nested in it; missing fields need a default."""
    types = get_type_hints(kind)
    for name in fields:
        require_choice("field", prefix + name, [prefix + known for known in types])
    for field in dataclasses.fields(kind):
        if field.name not in fields and field.default is dataclasses.MISSING:
            raise ConfigError(f"the field {prefix}{field.name} is missing")
    values = {
        name: _convert(prefix + name, value, types[name])
        for name, value in fields.items()
    }
    return kind(**values)


def _convert(name: str, value: Any, kind: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        return _build(kind, value, prefix=f"{name}.")  # type: ignore[arg-type]
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        kinds = get_args(kind)
        if kinds[0] is str:  # a command line may give names with commas between
            words = [v.split(",") if isinstance(v, str) else [v] for v in value]
            value = [v.strip() if isinstance(v, str) else v for v in chain(*words)]
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value)
        if len(kinds) != len(value):
            raise ConfigError(f"{name} must have {len(kinds)} parts, not {value!r}")
        parts = enumerate(zip(value, kinds, strict=True))
        return tuple(_convert(f"{name}[{i}]", v, item) for i, (v, item) in parts)
    # To Python a bool is an int, but True is not a number of steps.
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            # No range includes infinity, so that the value is refused later.
            return math.inf if value > 0 else -math.inf
    if get_origin(kind) is UnionType:  # a type or None, which means "not given"
        if value is None:
            return None
        kind = get_args(kind)[0]
        return _convert(name, value, kind)
    if not isinstance(kind, type) or type(value) is not kind:
        expected = getattr(kind, "__name__", str(kind))
        raise ConfigError(f"{name} must be of type {expected}, not {value!r}")
    return value
