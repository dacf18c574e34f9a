"""Mistakes of a user, each told in one clear sentence."""

import difflib
from collections.abc import Iterable


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
