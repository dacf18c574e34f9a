"""Mistakes of a user, each told in one clear sentence."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """What the user asked for cannot be done; the message is one clear sentence."""


# More choices than this are not listed where one of them is near.
_MOST_LISTED = 12


def require_choice(kind: str, value: object, choices: Iterable[str]) -> None:
    """Raise a ConfigError unless the value is one of the choices.

    Its message suggests the nearest choice and lists all of them, unless they are many
    and one is near.
    """
    choices = tuple(choices)
    if value in choices:
        return
    hint = near_miss(value, choices)
    if hint and len(choices) > _MOST_LISTED:
        raise ConfigError(f"unknown {kind} {value!r}{hint}")
    raise ConfigError(f"unknown {kind} {value!r}: one of {', '.join(choices)}{hint}")


def near_miss(value: object, choices: Iterable[str]) -> str:
    """The end of a sentence that suggests the nearest choice; empty if none is near.

    Case does not count, and of a dotted name its last part alone may be given.
    """
    by_name = {choice.lower(): choice for choice in choices}
    wanted = str(value).lower()
    near = difflib.get_close_matches(wanted, list(by_name), n=1)
    if not near:
        last_parts = {name.rpartition(".")[2]: name for name in by_name}
        near = [
            last_parts[part]
            for part in difflib.get_close_matches(wanted, list(last_parts), n=1)
        ]
    return f"; did you mean {by_name[near[0]]!r}?" if near else ""
