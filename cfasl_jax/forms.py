"""The fastest implementation of an operation on this kind of device.

Some operations have several implementations, called forms, which agree up to rounding.
Which form is the fastest depends on the device: `python -m cfasl_jax.benchmark --check`
measures it, `remember` stores the result in the user's cache directory, and `fastest`
reads it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import ParamSpec, TypeVar

import jax

from cfasl_jax import files

Form = TypeVar("Form", bound=str)
P = ParamSpec("P")
T = TypeVar("T")

_asked_for: ContextVar[Mapping[str, str] | None] = ContextVar(
    "_asked_for", default=None
)


def devices_share_processor() -> bool:
    """Whether several devices are parts of one CPU, with one pool of threads."""
    return jax.default_backend() == "cpu" and jax.local_device_count() > 1


def jit_once(function: Callable[P, T]) -> Callable[P, T]:
    """`jax.jit` for a program that runs once, which may be slow if it compiles fast.

    On a CPU, the initial state of a training compiles in 2 s rather than 9 s.
    """
    options = {"xla_backend_optimization_level": 1}
    on_cpu = jax.default_backend() == "cpu"
    return jax.jit(function, compiler_options=options if on_cpu else None)


def fastest(operation: str, choices: tuple[Form, ...], otherwise: Form) -> Form:
    """The form that was measured to be the fastest on this kind of device.

    Args:
        operation: name of the operation, such as "conv".
        choices: the forms that exist.
        otherwise: the result if no valid form has been remembered.
    """
    remembered = _remembered().get(jax.devices()[0].device_kind, {})
    found = (_asked_for.get() or remembered).get(operation)
    return found if found in choices else otherwise


@contextmanager
def using(**asked_for: str) -> Iterator[None]:
    """Let `fastest` return these forms inside the context, to measure them."""
    token = _asked_for.set(asked_for)
    try:
        yield
    finally:
        _asked_for.reset(token)


def remember(winners: Mapping[str, str]) -> Path:
    """Store the fastest form of each operation on this kind of device.

    Returns:
        The file, which holds one entry for each kind of device.

    Raises:
        OSError: if the cache directory cannot be written.
    """
    kind = jax.devices()[0].device_kind
    files.write_json(_path(), _remembered() | {kind: dict(winners)})
    return _path()


def _path() -> Path:
    return files.cache_directory() / "forms.json"


def _remembered() -> dict[str, dict[str, str]]:
    """Winners by kind of device; empty where the file is missing or damaged."""
    kinds = files.cached(_path()) or {}
    return {kind: forms for kind, forms in kinds.items() if isinstance(forms, dict)}
