"""Where a result comes from: versions, revision, device; the guard of a workdir."""

import json
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from cfasl_jax import config as config_lib
from cfasl_jax.config import Config
from cfasl_jax.errors import ConfigError

CONFIG_FILE = "config.json"
_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "scikit-learn",
)

# Fields that may change between two calls on one working directory: they do not alter
# what has been trained so far.
_MAY_DIFFER = (
    "num_steps",
    "checkpoint",
    "eval",
    "data.dir",
    "data.source",
    "data.residency",
)


def describe(source: str) -> dict[str, Any]:
    """Package versions, git revision, device and data source, fit for JSON."""
    device = jax.devices()[0]
    return {
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "revision": _revision(),
        "device": f"{jax.device_count()} x {device.device_kind} ({device.platform})",
        "data_source": source,
    }


def _revision() -> str:
    """The git revision of this checkout; "+" marks uncommitted changes."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def claim(workdir: Path, config: Config, source: str, trains: bool = True) -> None:
    """Make a working directory this configuration's, or check that it is.

    Until its first checkpoint a run holds nothing that another could spoil: a call that
    failed at once must not stand in the way of its mended successor. A call that does
    not train leaves the record of what did.

    Raises:
        ConfigError: where it belongs to a run with another configuration, naming the
            fields that differ, or where its images came from another source.
    """
    path = workdir / CONFIG_FILE
    if path.exists() and any((workdir / "checkpoints").glob("[0-9]*")):
        written = _read(path)
        _require_same(workdir, written, config, source)
        if not trains:
            return
    record = {"config": config_lib.to_dict(config), "provenance": describe(source)}
    try:
        write_json(path, record)
    except OSError as error:
        raise ConfigError(f"cannot write into {workdir}: {error}") from error


def stored_config(workdir: Path) -> Config:
    """The configuration of the run in a working directory.

    Raises:
        ConfigError: where there is none.
    """
    path = workdir / CONFIG_FILE
    if not path.exists():
        raise ConfigError(f"{workdir} holds no run: there is no {CONFIG_FILE} in it")
    return config_lib.from_dict(_read(path)["config"])


def _read(path: Path) -> dict[str, Any]:
    """What `claim` has written, or a ConfigError where that is damaged."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return {key: written[key] for key in ("config", "provenance")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}): restore it, or choose another --workdir"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def _require_same(
    workdir: Path, written: Mapping[str, Any], config: Config, source: str
) -> None:
    # Through JSON, so that tuples and lists compare as equal.
    wanted = json.loads(json.dumps(config_lib.to_dict(config)))
    old, new = config_lib.flatten(written["config"]), config_lib.flatten(wanted)
    # Control-VAE's set point rises over the whole run, so a longer one differs at once.
    bound = ("num_steps",) if config.objective == "control_vae" else ()
    free = [name for name in _MAY_DIFFER if name not in bound]
    differing = [
        f"{name} is {old.get(name)!r} there and {new.get(name)!r} here"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
        and not any(name == f or name.startswith(f + ".") for f in free)
    ]
    before = written["provenance"]["data_source"]
    if before != source:
        differing.append(f"the data source is {before!r} there and {source!r} here")
    if differing:
        raise ConfigError(
            f"{workdir} holds a run of another configuration: {'; '.join(differing)}; "
            f"choose another --workdir"
        )
