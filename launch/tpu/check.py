"""Check a command for cfasl_jax.main on this machine, before a slice is asked for.

    python -m launch.tpu.check TYPE ARGUMENTS...

The arguments are those of `python -m cfasl_jax.main`, TYPE is the slice's, such as
v6e-8. A mistake is one sentence and exit code 2. Where the run needs a prepared data
set in a bucket, its address is printed: whether it is there is for gcloud to say, since
this machine may have no credentials of its own.
"""

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cfasl_jax import command_line, data
from cfasl_jax.data import prepared
from cfasl_jax.errors import ConfigError
from cfasl_jax.settings import Config

ROOT = Path(__file__).parents[2]

# A type ends with its number of TensorCores, two to a chip, in these generations, and
# with its number of chips in later ones. A chip is two devices in the first two.
_DEVICES_A_CORE = {"v2": 1.0, "v3": 1.0, "v4": 0.5, "v5p": 0.5}


def main(argv: Sequence[str]) -> int:
    """Check a command; return the exit code, 0 or 2."""
    try:
        needed = check(argv[1], argv[2:])
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if needed:
        print(needed)
    return 0


def check(accelerator: str, arguments: Sequence[str]) -> str:
    """What must be in a bucket for a run on a slice, or "".

    Raises:
        ConfigError: where the run would fail as soon as it is started.
    """
    with contextlib.redirect_stdout(sys.stderr):
        command = command_line.parse(["cfasl_jax.main", *arguments])
    if command is None:
        raise ConfigError("--help starts no run")
    if command.config is None:
        return ""  # the run's own configuration, which was checked when it began
    _require_committed(arguments)
    _require_divisible(command.config, accelerator)
    return _needed_data(command.config)


def _require_committed(arguments: Sequence[str]) -> None:
    """The hosts have the committed files alone."""
    for argument in arguments:
        name, _, value = argument.partition("=")
        path = value.split(":")[0]
        if name.lstrip("-") == "config" and not _is_committed(path):
            raise ConfigError(
                f"{path} is not committed, so that the slice would not have it: 'git "
                f"add {path}', then 'git commit'"
            )


def _is_committed(path: str) -> bool:
    command = ["git", "-C", str(ROOT), "cat-file", "-e", f"HEAD:./{path}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _require_divisible(config: Config, accelerator: str) -> None:
    generation, _, size = accelerator.rpartition("-")
    devices = int(int(size) * _DEVICES_A_CORE.get(generation, 1.0))
    if devices and config.batch_size // 2 % devices:
        raise ConfigError(
            f"batch_size {config.batch_size} is {config.batch_size // 2} pairs, which "
            f"the {devices} devices of {accelerator} do not divide: use a multiple of "
            f"{2 * devices}"
        )


def _needed_data(config: Config) -> str:
    """The address of the prepared copy that a run reads, or "" where it reads none."""
    entry, options = data.entry_of(config.dataset), config.data
    # What lies on this machine's disk does not count.
    named = options.dir or options.path
    rendered = options.source == "auto" and not named and entry.twin is not None
    if rendered or options.source == "rendered":
        data.require(entry.name, dataclasses.replace(options, source="rendered"))
        return ""
    url = data.url_of(entry, options) if options.source != "tfds" else ""
    if not url:
        where = f"in {named}" if named else "unless --data names one"
        extra = " --convention=full" if options.convention == "full" else ""
        extra += " --from=FILE_OR_FOLDER" if not entry.published else ""
        raise ConfigError(
            f"the slice has no copy of {entry.name} {where}: put one into a bucket "
            f"with 'python -m cfasl_jax.data prepare {entry.name}{extra} "
            "--dir=gs://BUCKET/DIR', and add --data=gs://BUCKET/DIR"
        )
    if url.startswith("gs://"):
        return f"{url}/{prepared.MANIFEST}"
    data.require(entry.name, options)  # with this machine's own credentials
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv))
