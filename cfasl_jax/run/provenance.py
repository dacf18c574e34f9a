"""The provenance of results, and config.json, which identifies a directory's run."""

import dataclasses
import fcntl
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from cfasl_jax import config as config_lib
from cfasl_jax import files, objectives
from cfasl_jax.data.dataset import Spec
from cfasl_jax.errors import ConfigError
from cfasl_jax.settings import Config, belongs
from cfasl_jax.training.checkpoints import latest_step

CONFIG_FILE = "config.json"
# Of config.json. Version 2 added "format" itself and "dataset".
FORMAT = 2
_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "scikit-learn",
)

# Fields that may change between two calls on one working directory, since they do not
# affect what has been trained so far.
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
    """The git revision of this checkout; "+" marks uncommitted changes.

    It is unknown in an installed package, also if this lies inside another repository.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


class Run(NamedTuple):
    """The content of config.json.

    Attributes:
        config: the configuration, with defaults for fields that were not stored.
        spec: the spec of its data set; None if an early version stored none.
        source: where its images came from.
        origin: what `describe` said when its training began and, if it was continued
            by another revision or elsewhere, "resumed", a list of what it said then,
            each with the "step" from which this holds.
    """

    config: Config
    spec: Spec | None
    source: str
    origin: Mapping[str, Any] = MappingProxyType({})


def claim(workdir: Path, config: Config, spec: Spec, trains: bool = True) -> None:
    """Write this configuration to a working directory, or check that it is there.

    Before the first checkpoint config.json may be overwritten, so that a start that
    failed does not block a corrected one. A call that does not train never overwrites
    the record of the training.

    Raises:
        ConfigError: if the directory belongs to a run with another configuration (the
            message names the fields that differ), if its images came from another
            source, if it has been trained for longer than num_steps, if there is
            nothing to score, or if it cannot be written.
    """
    path = workdir / CONFIG_FILE
    step = latest_step(workdir)
    if step is None and not trains:
        raise ConfigError(f"{workdir} holds no checkpoint yet: train first")
    if step is not None:
        if not path.exists():
            raise ConfigError(
                f"{workdir} holds checkpoints, but no {CONFIG_FILE} that says whose "
                "they are: restore it, or choose another --workdir"
            )
        run = stored(workdir)
        if differing := differences(run, config, spec):
            raise ConfigError(
                f"{workdir} holds a run of another configuration: "
                f"{'; '.join(differing)}; choose another --workdir, or give this one "
                "without --config to go on with the run as it is"
            )
        if not trains:
            return
        if step > config.num_steps:
            raise ConfigError(
                f"num_steps is {config.num_steps:,}, but {workdir} holds a run of "
                f"{step:,} steps: ask for {step:,} or more, choose another --workdir, "
                "or score it as it is with --mode=evaluate"
            )
        origin = run.origin
        if step < config.num_steps:  # something is left to be trained
            origin = _resumed(origin, describe(spec.source), step)
    else:
        origin = describe(spec.source)
    try:
        write_record(workdir, config, spec, origin)
    except OSError as error:
        raise ConfigError(f"cannot write into {workdir}: {error}") from error


def _resumed(
    before: Mapping[str, Any], now: Mapping[str, Any], step: int
) -> dict[str, Any]:
    """The provenance of a training that goes on from a step, see `Run.origin`."""
    parts = list(before.get("resumed", ()))
    last = parts[-1] if parts else before
    if any(last.get(name) != value for name, value in now.items()):
        parts.append({"step": step, **now})
    return {**before, "resumed": parts} if parts else dict(before)


def of_scores(workdir: Path, source: str) -> dict[str, Any]:
    """The provenance of scores that are computed now, fit for JSON.

    Args:
        workdir: the directory of the run.
        source: of the images.

    Returns:
        As `describe`; if the training has another provenance, also that, as "training".
    """
    now = describe(source)
    if not (workdir / CONFIG_FILE).is_file():
        return now
    training = dict(stored(workdir).origin)
    return now if training == now else {**now, "training": training}


def write_record(
    workdir: Path, config: Config, spec: Spec, origin: Mapping[str, Any]
) -> None:
    """Write config.json, which `stored` reads; `origin` is what `describe` returned.

    Raises:
        OSError: with the name of the file, if it cannot be written.
    """
    record = {
        "format": FORMAT,
        "config": config_lib.to_dict(config),
        "dataset": dataclasses.asdict(spec),
        "provenance": dict(origin),
    }
    files.write_json(workdir / CONFIG_FILE, record)


@contextmanager
def held(workdir: Path) -> Iterator[None]:
    """Let one process at a time train in a directory; the lock ends with the process.

    Raises:
        ConfigError: if another process trains there; the message says which.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = (workdir / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write into {workdir}: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ConfigError(
                f"{workdir} is in use by {file.read().strip() or 'another process'}: "
                "wait for it to end, or choose another --workdir"
            ) from None
        except OSError:  # a file system without locks
            pass
        file.truncate(0)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(f"process {os.getpid()} on {platform.node()} since {now}\n")
        file.flush()
        yield


def stored(workdir: Path) -> Run:
    """The run in a working directory, whichever version has stored it.

    Raises:
        ConfigError: if there is none, or its record is damaged.
    """
    path = workdir / CONFIG_FILE
    if not path.is_file():
        raise ConfigError(
            f"{workdir} holds no run: there is no {CONFIG_FILE} in it; "
            f"train one there first with --config=FILE --workdir={workdir}"
        )
    return read(path)


def read(path: Path) -> Run:
    """The run that a file such as config.json describes, of whichever version.

    Raises:
        ConfigError: if the file is damaged.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        config, unknown = config_lib.from_stored(record["config"])
        origin = dict(record["provenance"])
        source = str(origin["data_source"])
        spec = _spec(record["dataset"]) if "dataset" in record else None
    except ConfigError as error:
        raise ConfigError(f"{path} cannot be used: {error}") from error
    except Exception as error:  # of many kinds, where parts are missing or others
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{path} cannot be read ({reason}): restore it, or choose another --workdir"
        ) from error
    if unknown:
        print(
            f"{path} holds fields that this version does not know and leaves out: "
            f"{', '.join(unknown)}",
            file=sys.stderr,
        )
    return Run(config, spec, source, origin)


def _spec(fields: Mapping[str, Any]) -> Spec:
    """A Spec as it was stored; JSON has lists where it has tuples."""
    names = {field.name for field in dataclasses.fields(Spec)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
        if name in names
    }
    return Spec(**values)


def differences(run: Run, config: Config, spec: Spec | None = None) -> list[str]:
    """What keeps a stored run from being a run of this configuration.

    Args:
        run: the stored run.
        config: the configuration.
        spec: of the data set that would be trained on; without it, data sets are not
            compared. Where both are known to have the same images, it does not matter
            where these lie.

    Returns:
        Clauses such as "beta is 4.0 there and 6.0 here", none if nothing does.
    """
    # Which fields are read depends on fields that both have: if these are equal, both
    # read the same ones.
    old, new = (
        objectives.read_fields(config_lib.to_dict(each))
        for each in (run.config, config)
    )
    entry = objectives.OBJECTIVES.get(config.objective)
    # A schedule that spans the whole run is different in a longer run from the start.
    bound = ("num_steps",) if entry and entry.spans_the_run else ()
    free = [name for name in _MAY_DIFFER if name not in bound]
    before = run.spec.digest if run.spec else ""
    if before and spec and spec.digest:  # the pixels themselves are compared below
        free.append("data.path")
    differing = [
        f"{name} is {old[name]!r} there and {new[name]!r} here"
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name] and not belongs(name, free)
    ]
    if spec is None:
        return differing
    if run.source != spec.source:
        differing.append(
            f"the data source is {run.source!r} there and {spec.source!r} here"
        )
    if before and spec.digest and before != spec.digest:
        differing.append("the images have other pixels than those trained on")
    return differing
