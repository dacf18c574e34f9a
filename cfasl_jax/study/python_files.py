"""Reading Python files of studies and configurations; mistakes become ConfigErrors."""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from cfasl_jax import config as config_lib
from cfasl_jax.errors import ConfigError, expanded, require_choice


def split(place: str) -> tuple[Path, str]:
    """FILE:PRESET, or FILE with no preset, as a path and a preset."""
    path, _, preset = place.partition(":")
    return expanded(path), preset


def module_at(path: Path, kind: str) -> ModuleType:
    """A Python file as a module; it may import its siblings from any current directory.

    Raises:
        ConfigError: if it does not exist or raises an error.
    """
    path = config_lib.file_at(path)
    if not os.path.exists(path):  # takes any text for a path
        known = sorted(str(p) for p in path.parent.glob("*.py"))
        if not known or path.parent == Path():
            raise ConfigError(f"there is no {kind} file {str(path)!r}")
        require_choice(f"{kind} file", str(path), known)
    if not path.is_file():  # reading a pipe would wait for a writer
        raise ConfigError(f"{path} is no Python file")
    for folder in path.resolve().parents[1:3]:  # that of configs/, of studies too
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        reason = f"{error} ({type(error).__name__})"
        raise ConfigError(f"{path} cannot be read: {reason}") from error
    return module


def call(function: Callable[..., Any], path: Path, preset: str) -> Any:
    """The result of a file's function for a preset.

    Raises:
        ConfigError: with the message of an error in the function.
    """
    try:
        return function(preset) if preset else function()
    except (Exception, SystemExit) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{path}: {said}") from error


def mapping(what: str, value: Any, known: Iterable[str] | None = None) -> dict:
    """A value that must be a dict with known entries only.

    Raises:
        ConfigError: if it is not.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{what} must be a dict, not {value!r}")
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(f"the names in {what} must be texts, not {key!r}")
        if known is not None:
            require_choice(f"entry of {what}", key, known)
    return dict(value)
