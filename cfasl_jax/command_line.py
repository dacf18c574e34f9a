"""The command line's flags; every mistake is reported in one sentence."""

import dataclasses
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder
from ml_collections.config_flags import config_flags

from cfasl_jax import config as config_lib
from cfasl_jax import data, metrics, objectives, workdirs
from cfasl_jax.config import MODES, Config
from cfasl_jax.errors import ConfigError, expanded, near_miss, require_choice
from cfasl_jax.run import shipped
from cfasl_jax.settings import FIDELITIES, flatten

_OVERRIDE = re.compile(r"--?(?:no)?config\.([^=]*)(=|$)")


class Command(NamedTuple):
    """A parsed command line.

    Attributes:
        config: the validated configuration; None for that of the working directory.
        workdir: the working directory, see `workdirs.location`.
        mode: "all", "train", "evaluate" or "analyze".
        distributed: whether the cluster says which processes belong together.
        compare: directories of finished runs to show side by side, instead of the
            report of one run; otherwise empty.
        overrides: changes to the configuration of the working directory, see
            `overridden`.
    """

    config: Config | None
    workdir: Path | str
    mode: str
    distributed: bool
    compare: tuple[Path, ...] = ()
    overrides: tuple[str, ...] = ()


def parse(argv: list[str]) -> Command | None:
    """Read the command line; None after --help, which is printed.

    Raises:
        ConfigError: for any mistake; its sentence says what would be right.
    """
    arguments = _located([_expand_fidelity(argument) for argument in argv])
    overrides: list[str] = []
    if config_argument(arguments) is None:
        arguments, overrides = _without_overrides(arguments)
    _check_overrides(arguments)
    values = _read(arguments)
    if values.help:
        print(_help(values))
        return None
    require_choice("mode", values.mode, MODES)
    if values.compare is not None:
        return _comparison(values, overrides)
    if values.config is None and values.workdir is None:
        raise ConfigError(
            "say what to train with --config=configs/shapes3d.py:quick, or name the "
            "directory of a run with --workdir=DIR"
        )
    given = values.workdir
    workdir = workdirs.location(_default_workdir(arguments) if given is None else given)
    config = None
    if values.config is not None:
        config = config_lib.from_dict(values.config.to_dict())
    return Command(
        config, workdir, values.mode, values.distributed, overrides=tuple(overrides)
    )


def _without_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
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


def configuration(*arguments: str) -> Config:
    """The configuration that --config=FILE and --config.FIELD=VALUE arguments give.

    Raises:
        ConfigError: as `parse` does.
    """
    command = parse(["", *arguments])
    assert command is not None
    assert command.config is not None
    return command.config


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
    _parse_into(values, arguments)
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


def _comparison(values: flags.FlagValues, overrides: Sequence[str]) -> Command:
    """The command that shows several finished runs side by side."""
    if values.mode != "analyze":
        raise ConfigError(
            f"--compare goes with --mode=analyze, not with --mode={values.mode}"
        )
    if values.config is not None or overrides:
        raise ConfigError(
            "--compare shows finished runs by their own configurations: leave out "
            "--config"
        )
    folders: list[Path] = []
    for place in values.compare:
        folder = workdirs.location(place)
        if isinstance(folder, str):
            raise ConfigError(
                f"--compare reads directories on this machine: copy {folder} here first"
            )
        folders.append(folder)
    given = values.workdir
    workdir = workdirs.location("runs/comparison" if given is None else given)
    return Command(None, workdir, values.mode, values.distributed, tuple(folders))


_HELP = """Train a VAE with or without CFASL, score it and write its report.

    python -m cfasl_jax.main --config=configs/shapes3d.py:quick --workdir=runs/first

The same command resumes a run; --workdir alone names one that was started before. Any
field of configs/default.py, where each is explained, can be set: --config.beta=4

Finished runs side by side in one page:

    python -m cfasl_jax.main --mode=analyze --compare=runs/first,runs/second
"""


def _help(values: flags.FlagValues) -> str:
    """The text of --help: examples, flags, and the names that may be given."""
    own = [values[name] for name in _FLAGS]
    lines = [_HELP, "Flags:"]
    for flag in own:
        text = f"--{flag.name}: {flag.help}"
        lines += textwrap.wrap(
            text, 84, initial_indent="  ", subsequent_indent="      "
        )
    names = {
        "Modes": MODES,
        "Objectives (--config.objective)": objectives.OBJECTIVES,
        "Data sets (configs/NAME.py)": data.NAMES,
        "Presets (configs/NAME.py:PRESET)": ("quick", "ours", "quick+ours"),
        "Fidelities (--config.fidelity)": FIDELITIES,
        "Protocols (--config.eval.protocol)": metrics.PROTOCOLS,
        "Metrics (--config.eval.metrics)": metrics.METRICS,
        "Shipped models (cfasl_jax.load, cfasl_jax.evaluate --model)": shipped.names(),
    }
    for title, choices in names.items():
        lines += ["", f"{title}:"]
        lines += textwrap.wrap(
            ", ".join(choices), 84, initial_indent="  ", subsequent_indent="  "
        )
    lines += ["", "The rows of the paper's tables: python -m configs.paper"]
    return "\n".join(lines)


_FLAGS = ("config", "workdir", "mode", "compare", "distributed", "help")


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


def _read(arguments: list[str]) -> flags.FlagValues:
    file = config_argument(arguments)
    _make_importable(file)
    try:
        values = _flags(arguments)
        _parse_into(values, arguments)
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


def _parse_into(values: flags.FlagValues, arguments: list[str]) -> None:
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
    hint = near_miss(name, _FLAGS) or near_miss(name, fields)
    return f"unknown flag {name!r}{hint or ': one of ' + ', '.join(_FLAGS)}"


def _expand_fidelity(argument: str) -> str:
    """--config.fidelity=NAME is short for --config.fidelity.preset=NAME."""
    return re.sub(r"^(--?config\.fidelity)=", r"\1.preset=", argument)


def config_argument(arguments: Sequence[str]) -> str | None:
    """FILE[:PRESET] as given, or None.

    Raises:
        ConfigError: if it is given twice.
    """
    found = []
    for place, argument in enumerate(arguments):
        if match := re.fullmatch(r"--?config=(.*)", argument):
            found.append(match[1])
        if re.fullmatch(r"--?config", argument) and place + 1 < len(arguments):
            found.append(arguments[place + 1])
    if len(found) > 1:
        raise ConfigError(f"--config is given twice, as {' and as '.join(found)}")
    return found[0] if found else None


def _located(arguments: list[str]) -> list[str]:
    """The arguments, with the configuration file where it is found."""
    given = config_argument(arguments)
    if given is None:
        return arguments
    path, colon, preset = given.partition(":")
    found = f"{config_lib.file_at(expanded(path))}{colon}{preset}"
    return [
        re.sub(
            rf"^(--?config=)?{re.escape(given)}$",
            lambda match: (match[1] or "") + found,
            argument,
        )
        for argument in arguments
    ]


def _make_importable(config: str | None) -> None:
    """Let a configuration file import its siblings, wherever the command is run."""
    if config is None:
        return
    path = Path(config.split(":")[0])
    # Unlike Path's own, this function takes any text for a path.
    is_python = os.path.isfile(path) and path.suffix == ".py"
    if not is_python or "get_config" not in path.read_text(errors="replace"):
        _refuse_config(path)
    root = str(path.resolve().parent.parent)
    if root not in sys.path:
        sys.path.append(root)


def _refuse_config(path: Path) -> None:
    """Raise a ConfigError that names the configuration files there are."""
    folder = path if os.path.isdir(path) else path.parent
    if not os.path.isfile(folder / "default.py"):
        folder = Path("configs")
    files = config_lib.file_at(folder / "default.py").parent.glob("[a-z]*.py")
    known = sorted(str(folder / file.name) for file in files if file.stem != "default")
    if not known:
        raise ConfigError(
            f"{path} not found: run this in the folder that holds configs"
        )
    meant = str(folder / f"{path.stem.lower()}.py")
    if path.name and meant in known:
        hint = f"; did you mean {meant!r}?"
        raise ConfigError(f"{str(path)!r} is not a configuration file{hint}")
    require_choice("config file", str(path), known)


def _check_overrides(arguments: list[str]) -> None:
    """Every --config.FIELD must exist in the file, or the nearest one is suggested."""
    if any(_OVERRIDE.match(argument) for argument in arguments[1:]):
        values = _read([arguments[0], f"--config={config_argument(arguments)}"])
        _require_fields(arguments, values.config.to_dict())


def _require_fields(arguments: Sequence[str], fields: Mapping[str, Any]) -> None:
    known = flatten(fields)
    for argument in arguments[1:]:
        if match := _OVERRIDE.match(argument):
            require_choice("field", match[1], known)


def _default_workdir(arguments: list[str]) -> str:
    """runs/shapes3d-quick for --config=configs/shapes3d.py:quick."""
    path, _, preset = (config_argument(arguments) or "").partition(":")
    return str(Path("runs") / "-".join(filter(None, [Path(path).stem, preset])))


def _last_cause(message: str) -> str:
    """The last line of an error of absl or ml_collections, which is the inner cause."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    last = re.sub(r"(?i)^[\w.]*error:+ ", "", lines[-1]) if lines else message
    for reason, kind in _KINDS.items():
        if value := re.match(rf"flag --(?:config\.)?(\S+?)=(.*): .*{reason}", last):
            return f"{value[1]} must be {kind}, not {value[2]!r}"
    return last


# How errors of Python and absl describe an invalid value, and the value that is needed.
_KINDS = {
    "Non-boolean argument": "True or False",
    "invalid literal for int": "a whole number",
    "could not convert string to float": "a number",
    "Error while parsing string": "a tuple such as (1, 2)",
}
