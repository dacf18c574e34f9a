"""The command line: what it asks for; every mistake is reported in one sentence."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from absl import flags

from cfasl_jax import config as config_lib
from cfasl_jax import data, metrics, objectives, workdirs
from cfasl_jax.command_line.config_files import (
    config_argument,
    default_workdir,
    located,
)
from cfasl_jax.command_line.flag_values import FLAGS, read
from cfasl_jax.command_line.overrides import (
    expand_fidelity,
    overridden,
    require_known,
    split_off,
)
from cfasl_jax.config import MODES, Config
from cfasl_jax.errors import ConfigError, require_choice
from cfasl_jax.run import shipped
from cfasl_jax.settings import FIDELITIES

__all__ = ["Command", "config_argument", "configuration", "overridden", "parse"]


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
    arguments = located([expand_fidelity(argument) for argument in argv])
    overrides: list[str] = []
    if config_argument(arguments) is None:
        arguments, overrides = split_off(arguments)
    require_known(arguments)
    values = read(arguments)
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
    workdir = workdirs.location(default_workdir(arguments) if given is None else given)
    config = None
    if values.config is not None:
        config = config_lib.from_dict(values.config.to_dict())
    return Command(
        config, workdir, values.mode, values.distributed, overrides=tuple(overrides)
    )


def configuration(*arguments: str) -> Config:
    """The configuration that --config=FILE and --config.FIELD=VALUE arguments give.

    Raises:
        ConfigError: as `parse` does.
    """
    command = parse(["", *arguments])
    assert command is not None
    assert command.config is not None
    return command.config


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
    own = [values[name] for name in FLAGS]
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
