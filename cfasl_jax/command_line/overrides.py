"""Fields of the configuration that are set on the command line, --config.FIELD."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder
from ml_collections.config_flags import config_flags

from cfasl_jax import config as config_lib
from cfasl_jax.command_line.config_files import config_argument
from cfasl_jax.command_line.flag_values import parse_into, read
from cfasl_jax.config import Config
from cfasl_jax.errors import require_choice
from cfasl_jax.settings import FIDELITIES, flatten

_OVERRIDE = re.compile(r"--?(?:no)?config\.([^=]*)(=|$)")


def expand_fidelity(argument: str) -> str:
    """--config.fidelity=NAME is short for --config.fidelity.preset=NAME."""
    return re.sub(r"^(--?config\.fidelity)=", r"\1.preset=", argument)


def split_off(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The other arguments, and the overrides, each with its value in the same text."""
    left = [*arguments]
    overrides, others = [], []
    while left:
        argument = left.pop(0)
        if not _OVERRIDE.match(argument):
            others.append(argument)
            continue
        separate = "=" not in argument and left and not left[0].startswith("-")
        overrides.append(f"{argument}={left.pop(0)}" if separate else argument)
    return others, overrides


def require_known(arguments: list[str]) -> None:
    """Every --config.FIELD must exist in the file, or the nearest one is suggested."""
    if any(_OVERRIDE.match(argument) for argument in arguments[1:]):
        values = read([arguments[0], f"--config={config_argument(arguments)}"])
        _require_fields(arguments, values.config.to_dict())


def overridden(config: Config, overrides: Sequence[str]) -> Config:
    """A stored configuration after --config.FIELD=VALUE arguments have changed fields.

    Raises:
        ConfigError: for an unknown field or a value that does not fit.
    """
    if not overrides:
        return config
    arguments = ["", *chain(*map(_switches, overrides))]
    fields = config_lib.to_dict(config)
    _require_fields(arguments, fields)
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict(
        "config", _with_placeholders(fields), flag_values=values, sys_argv=arguments
    )
    parse_into(values, arguments)
    return config_lib.from_dict(values.config.to_dict())


def _switches(argument: str) -> list[str]:
    """A preset of fidelity as its switches, which is what a run stores."""
    match = re.fullmatch(r"--?config\.fidelity\.preset=(.*)", argument)
    if match is None:
        return [argument]
    require_choice("fidelity", match[1], FIDELITIES)
    switches = dataclasses.asdict(FIDELITIES[match[1]])
    return [f"--config.fidelity.{name}={value}" for name, value in switches.items()]


def _with_placeholders(fields: Mapping[str, Any]) -> ConfigDict:
    """A configuration in which a number may replace None, which has no type itself."""
    config = ConfigDict(fields)
    missing = [name for name, value in flatten(fields).items() if value is None]
    config.update_from_flattened_dict({name: placeholder(float) for name in missing})
    return config


def _require_fields(arguments: Sequence[str], fields: Mapping[str, Any]) -> None:
    known = flatten(fields)
    for argument in arguments[1:]:
        if match := _OVERRIDE.match(argument):
            require_choice("field", match[1], known)
