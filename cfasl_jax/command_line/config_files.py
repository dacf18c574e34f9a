"""The configuration file that a command line names: which one, and where it is."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from cfasl_jax import config as config_lib
from cfasl_jax.errors import ConfigError, expanded, require_choice


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


def located(arguments: list[str]) -> list[str]:
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


def make_importable(config: str | None) -> None:
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


def default_workdir(arguments: list[str]) -> str:
    """runs/shapes3d-quick for --config=configs/shapes3d.py:quick."""
    path, _, preset = (config_argument(arguments) or "").partition(":")
    return str(Path("runs") / "-".join(filter(None, [Path(path).stem, preset])))
