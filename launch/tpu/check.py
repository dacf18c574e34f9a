"""Check a command for a slice on this machine, before the slice is asked for.

    python -m launch.tpu.check TYPE ARGUMENTS...

The arguments are those of `python -m cfasl_jax.main`, or of `python -m cfasl_jax.study`
where --study is among them; TYPE is the slice's, such as v6e-8. A mistake is one
sentence and exit code 2. Where a prepared data set in a bucket is needed, its address
is printed: whether it is there is for gcloud to say, since this machine may have no
credentials of its own.
"""

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cfasl_jax import command_line, data
from cfasl_jax.data import prepared, preparing
from cfasl_jax.errors import ConfigError
from cfasl_jax.settings import Config
from cfasl_jax.study import __main__ as study_command
from cfasl_jax.study import definition

ROOT = Path(__file__).parents[2]

# In every generation, by the number that a type ends with.
_MOST_ON_ONE_HOST = 8

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
    if any(argument.split("=")[0] == "--study" for argument in arguments):
        return _check_study(accelerator, arguments)
    with contextlib.redirect_stdout(sys.stderr):
        command = command_line.parse(["cfasl_jax.main", *arguments])
    if command is None:
        raise ConfigError("--help starts no run")
    if command.compare:
        raise ConfigError("--compare reads finished runs where they are: use local.sh")
    if command.config is None:
        return ""  # the run's own configuration, which was checked when it began
    _require_committed(command_line.config_argument(arguments) or "")
    _require_divisible(command.config, accelerator)
    return _needed_data(command.config, "add --data=gs://BUCKET/DIR")


def _check_study(accelerator: str, arguments: Sequence[str]) -> str:
    """As `check`, for a study."""
    options = study_command.parse(["--workdir=gs://BUCKET/STUDY", *arguments])
    if options.dry_run or options.report:
        raise ConfigError("--dry-run and --report train nothing: use them right here")
    study = definition.load(options.study)
    # A host of a slice with several cannot use its devices without the others.
    if int(accelerator.rpartition("-")[2]) > _MOST_ON_ONE_HOST:
        raise ConfigError(
            f"{accelerator} has several hosts, and a study in a bucket is done by one: "
            "choose a --type that ends with 8 or less"
        )
    _require_committed(options.study)
    for arm in study.arms:
        _require_committed(arm.config)
        for setting in arm.settings:
            for config in setting.configs.values():
                _require_divisible(config, accelerator)
    config = study.arms[0].settings[0].reporting  # all have the same data
    return _needed_data(config, "put 'data.dir': 'gs://BUCKET/DIR' into 'set'")


def _require_committed(place: str) -> None:
    """The hosts have the committed files alone."""
    path = place.split(":")[0]
    if not _is_committed(path):
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


def _needed_data(config: Config, advice: str) -> str:
    """The address of the prepared copy that a run reads, or "" where it reads none.

    Args:
        config: of the run.
        advice: how to name the place of a copy.
    """
    entry, options = data.entry_of(config.dataset), config.data
    # What lies on this machine's disk does not count.
    named = options.dir or options.path
    rendered = options.source == "auto" and not named and entry.twin is not None
    if rendered or options.source == "rendered":
        data.require(entry.name, dataclasses.replace(options, source="rendered"))
        return ""
    url = data.url_of(entry, options) if options.source != "tfds" else ""
    if not url:
        where = f"in {named}" if named else "unless the command names one"
        source = "" if entry.published else "FILE_OR_FOLDER"
        command = preparing.command(
            entry, "gs://BUCKET/DIR", options.convention, source
        )
        raise ConfigError(
            f"the slice has no copy of {entry.name} {where}: put one into a bucket "
            f"with '{command}', and {advice}"
        )
    if url.startswith("gs://"):
        return f"{url}/{prepared.MANIFEST}"
    data.require(entry.name, options)  # with this machine's own credentials
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv))
