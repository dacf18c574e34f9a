"""The flags of the command line, read by absl; its errors become plain sentences."""

import dataclasses
import re

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from cfasl_jax.command_line.config_files import config_argument, make_importable
from cfasl_jax.config import MODES, Config
from cfasl_jax.errors import ConfigError, near_miss

FLAGS = ("config", "workdir", "mode", "compare", "distributed", "help")

# How errors of Python and absl describe an invalid value, and the value that is needed.
_KINDS = {
    "Non-boolean argument": "True or False",
    "invalid literal for int": "a whole number",
    "could not convert string to float": "a number",
    "Error while parsing string": "a tuple such as (1, 2)",
}


def read(arguments: list[str]) -> flags.FlagValues:
    """The values of all flags.

    Raises:
        ConfigError: for a mistake in the arguments or in the configuration file.
    """
    file = config_argument(arguments)
    make_importable(file)
    try:
        values = _flags(arguments)
        parse_into(values, arguments)
    except ConfigError:
        raise
    except flags.Error as error:
        raise ConfigError(_last_cause(str(error))) from error
    except (Exception, SystemExit) as error:
        reason = _last_cause(str(error))
        if file is not None:  # most likely of the Python code in it
            reason = f"{file} cannot be used: {type(error).__name__}: {reason}"
        raise ConfigError(reason) from error
    if file is not None and not isinstance(values.config, ConfigDict):
        raise ConfigError(
            f"get_config of {file} must return a ConfigDict, not {values.config!r}"
        )
    return values


def _flags(arguments: list[str]) -> flags.FlagValues:
    """New flags, so that parsing does not change the global ones of the process."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config",
        help_string="FILE[:PRESET], a file of configs/; without it, the one that the "
        "run in --workdir was started with.",
        flag_values=values,
        sys_argv=arguments,  # which fields are overridden
    )
    flags.DEFINE_string(
        "workdir",
        None,
        "Directory of the run, or a URL such as gs://BUCKET/RUN; a second call resumes "
        "it. Default: runs/NAME.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "mode", "all", f"One of {', '.join(MODES)}.", flag_values=values
    )
    flags.DEFINE_list(
        "compare",
        None,
        "Directories of two or more finished runs, with commas between, to show side "
        "by side in comparison.html in --workdir. Default: runs/comparison.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "distributed",
        False,
        "One of several processes, which Slurm or the TPU slice names.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "help", False, "Show this help; so does -h.", short_name="h", flag_values=values
    )
    return values


def parse_into(values: flags.FlagValues, arguments: list[str]) -> None:
    """Set flags from the command line, or raise a ConfigError."""
    try:
        rest = values(arguments)
    except flags.UnrecognizedFlagError as error:
        raise ConfigError(_unknown_flag(error.flagname)) from error
    except flags.Error as error:
        raise ConfigError(_last_cause(str(error))) from error
    if len(rest) > 1:
        raise ConfigError(f"unexpected argument {rest[1]!r}: every option has a name")


def _unknown_flag(name: str) -> str:
    """A sentence that suggests the nearest flag, or a field given without "config."."""
    fields = [f"config.{field.name}" for field in dataclasses.fields(Config)]
    hint = near_miss(name, FLAGS) or near_miss(name, fields)
    return f"unknown flag {name!r}{hint or ': one of ' + ', '.join(FLAGS)}"


def _last_cause(message: str) -> str:
    """The last line of an error of absl or ml_collections, which is the inner cause."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    last = re.sub(r"(?i)^[\w.]*error:+ ", "", lines[-1]) if lines else message
    for reason, kind in _KINDS.items():
        if value := re.match(rf"flag --(?:config\.)?(\S+?)=(.*): .*{reason}", last):
            return f"{value[1]} must be {kind}, not {value[2]!r}"
    return last
