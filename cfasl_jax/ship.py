"""Make a shipped model from a finished run; for developers of this package.

python -m cfasl_jax.ship --workdir=runs/tcvae --name=dsprites/beta_tcvae

Run it in the root of the repository. The run must have been scored, since its
results.json becomes part of the card.
"""

import argparse
import dataclasses
import io
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cfasl_jax import command_line, data, errors, files, workdirs
from cfasl_jax import config as config_lib
from cfasl_jax.data.dataset import Dataset
from cfasl_jax.errors import ConfigError
from cfasl_jax.report import configuration
from cfasl_jax.report.results import read_results
from cfasl_jax.run import provenance, shipped
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.evaluate import RESULTS_FILE, sample_indices
from cfasl_jax.run.model import Model, load
from cfasl_jax.settings import Config

_TYPES = ("float16", "float32")
_MOST_BYTES = 1_500_000
_MOST_MODELS = 12

# How far rounding the weights may move a code, and the number of random images on which
# this is measured. The bound is a hundredth of the prior's standard deviation.
_MOST_MOVED = 0.01
_IMAGES = 1_024


def main(argv: Sequence[str]) -> int:
    """Write a model and its card; return the exit code, see `errors.exit_code`."""
    return errors.exit_code(lambda: print(_ship(_options(argv[1:]))))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = errors.ArgumentParser(
        prog="python -m cfasl_jax.ship", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--workdir", required=True, help="directory of a finished run that is scored"
    )
    parser.add_argument(
        "--name",
        required=True,
        help="DATASET/METHOD, such as dsprites/beta_tcvae+cfasl",
    )
    parser.add_argument(
        "--run", type=int, default=0, help="which of the seeds trained together"
    )
    parser.add_argument(
        "--dtype", choices=_TYPES, default=_TYPES[0], help="of the stored weights"
    )
    return parser.parse_args(arguments)


def _ship(options: argparse.Namespace) -> str:
    """Write both files; return a sentence on what was written."""
    workdir = workdirs.location(options.workdir)
    if isinstance(workdir, str):
        raise ConfigError(f"copy {workdir} to this machine first")
    if not workdir.is_dir():
        raise ConfigError(f"there is no directory {workdir}")
    model = load(workdir, options.run)
    run = provenance.stored(workdir)
    config = _portable(run.config.of_run(options.run))
    _require_name(options.name, config.dataset)
    spec = run.spec or data.spec_of(run.config.dataset, run.config.data)
    results = _results(workdir, model, options.run)
    arrays = shipped.to_flat(model.params, options.dtype)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    if content.tell() > _MOST_BYTES:
        raise ConfigError(
            f"as {options.dtype} the weights take {content.tell():,} bytes, more than "
            f"{_MOST_BYTES:,}: ship a smaller network"
        )
    dataset = data.load(
        config.dataset, dataclasses.replace(run.config.data, source=spec.source)
    )
    moved = _moved(model, arrays, dataset)
    if not moved <= _MOST_MOVED:
        raise ConfigError(
            f"as {options.dtype} the weights move a code by up to {moved:.2g}, more "
            f"than {_MOST_MOVED}: use --dtype=float32"
        )
    record = json.loads((workdir / provenance.CONFIG_FILE).read_text(encoding="utf-8"))
    card = {
        "command": command(config),
        **record,
        "config": config_lib.to_dict(config),
        "dataset": dataclasses.asdict(spec),
        "seed": model.seed,
        "step": model.step,
        "weights": {"type": options.dtype, "codes_moved_by": moved, "images": _IMAGES},
        **results,
    }
    files.write_json(shipped.path(options.name, ".json"), card)
    shipped.path(options.name, ".npz").write_bytes(content.getvalue())
    return (
        f"{options.name}: {content.tell():,} bytes; as {options.dtype} its weights "
        f"move a code by {moved:.2g} at most"
    )


def command(config: Config) -> str:
    """The command that trains a configuration.

    Raises:
        ConfigError: if no command line gives the fields that the run has read.
    """
    parsed = command_line.configuration
    start = parsed(f"--config=configs/{config.dataset}.py")
    fields = config_lib.to_dict(config)
    arguments = configuration.arguments(fields, config_lib.to_dict(start))
    rate = f"--config.codebook.learning_rate={config.codebook.learning_rate}"
    if config.cfasl and rate not in arguments:
        # The default follows from `learning_rate`, which it did not in every version:
        # the command must also be right in the version that the card names.
        arguments.append(rate)
    again = config_lib.to_dict(parsed(*arguments))
    if configuration.read_fields(again) != configuration.read_fields(fields):
        raise ConfigError("no command line gives the configuration of this run")
    return "python -m cfasl_jax.main " + shlex.join(arguments)


def _portable(config: Config) -> Config:
    """The configuration without the paths of data on one machine."""
    return dataclasses.replace(
        config, data=dataclasses.replace(config.data, dir="", path="")
    )


def _require_name(name: str, dataset: str) -> None:
    if not re.fullmatch(rf"{dataset}/[a-z0-9_+]+", name):
        raise ConfigError(
            f"the name must be {dataset}/METHOD, in small letters, digits, _ and +, "
            f"not {name!r}"
        )
    if name not in shipped.names() and len(shipped.names()) >= _MOST_MODELS:
        raise ConfigError(f"there are {_MOST_MODELS} shipped models already, the most")


def _results(workdir: Path, model: Model, run: int) -> dict[str, Any]:
    """The parts of results.json that belong to one run, by the names of a card."""
    results = read_results(workdir / RESULTS_FILE)
    if results is None or "runs" not in results or results["step"] != model.step:
        raise ConfigError(
            f"{workdir} has no scores of its newest checkpoint, of step {model.step}: "
            f"run python -m cfasl_jax.main --workdir={workdir} --mode=evaluate first"
        )
    if not results["runs"][run]["scores"]:
        raise ConfigError(f"{workdir}: the run of seed {model.seed} has no scores")
    origin = dict(results["provenance"])
    origin.pop("training", None)  # the card has it as "provenance"
    return {
        "model": results["model"][run],
        "scores": results["runs"][run],
        "scores_provenance": origin,
    }


def _moved(model: Model, arrays: dict[str, np.ndarray], dataset: Dataset) -> float:
    """The largest change of mu of random images with the weights as stored."""
    indices = sample_indices(dataset, _IMAGES)
    rounded = dataclasses.replace(model, params=shipped.from_flat(arrays))
    before, after = (Codes(m, dataset).mean(indices) for m in (model, rounded))
    return float(np.abs(before - after).max())


if __name__ == "__main__":
    sys.exit(main(sys.argv))
