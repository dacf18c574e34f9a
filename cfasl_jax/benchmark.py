"""Speed of training on this machine, and a check of its accelerator against the CPU.

    python -m cfasl_jax.benchmark --check

compares one step of every objective with the CPU, then measures beta-VAE and CFASL with
every form of their operations (see `cfasl_jax.forms`), prints one line of JSON for each
case and a table, and remembers the fastest forms for this kind of device.

    python -m cfasl_jax.benchmark --dataset=dsprites --latent_dims=6,10 --runs=1

measures seconds per training step and peak memory, each case in a process of its own.
Cases are timed in turn, round after round, so that their ratios hold on a machine whose
speed drifts. The median and the fastest round are printed, and the median over the
rounds of a case's time divided by that of beta-VAE alone.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import jax
import numpy as np

from cfasl_jax import command_line, data, device_check, errors
from cfasl_jax.errors import ConfigError, require_choice
from cfasl_jax.settings import Config
from cfasl_jax.training import devices

# Options that go without --check, and their values if they are not given.
_WITHOUT_CHECK = {"latent_dims": (6, 10), "runs": 1, "rounds": 3}


def main(argv: Sequence[str]) -> int:
    """Run the command line; return the exit code: 0, 1 (disagreement), 2 or 130."""
    return errors.exit_code(lambda: _run(argv[1:]))


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    require_choice("data set", options.dataset, data.NAMES)
    for name in _WITHOUT_CHECK if options.check else ("seeds",):
        if getattr(options, name) is not None:
            where = "without" if options.check else "with"
            raise ConfigError(f"--{name} goes {where} --check")
    for name, default in _WITHOUT_CHECK.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    if options.check:
        return device_check.check(
            lambda **changes: _config(options.dataset, **changes),
            options.steps,
            options.seeds,
        )
    if options.case:
        return _measure(options)
    return _compare(options, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(prog="python -m cfasl_jax.benchmark")
    parser.add_argument("--dataset", default="dsprites", help=", ".join(data.NAMES))
    parser.add_argument(
        "--check",
        action="store_true",
        help="does this device agree with the CPU, how fast is it, which forms win?",
    )
    parser.add_argument(
        "--seeds",
        type=_counts,
        help="with --check: how many are trained together. Default: 1,10; on a CPU 1",
    )
    parser.add_argument("--latent_dims", type=_counts, help="Default: 6,10")
    parser.add_argument(
        "--runs", type=_count, help="seeds trained together. Default: 1"
    )
    parser.add_argument(
        "--steps",
        type=_count,
        help="timed at once. Default: 20; with --check 200, on a CPU 3",
    )
    parser.add_argument("--rounds", type=_count, help="Default: 3")
    parser.add_argument("--case", type=_case, help=argparse.SUPPRESS)
    return parser


_count = errors.whole_number(1, 1_000_000)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))


def _case(text: str) -> tuple[bool, int]:
    """Whether a case uses CFASL, and its number of latent dimensions."""
    objective, _, latent_dim = text.partition(",")
    if objective not in ("alone", "cfasl"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a case such as cfasl,10")
    return objective == "cfasl", _count(latent_dim)


def _config(dataset: str, **changes: object) -> Config:
    """A data set's own configuration with a few fields changed, its images rendered."""
    overrides = [f"--config.{name}={value}" for name, value in changes.items()]
    file = f"--config=configs/{dataset}.py"
    config = command_line.configuration(file, *overrides)
    config = replace(config, data=replace(config.data, source="rendered"))
    data.require(config.dataset, config.data)
    return config


def _config_of(case: tuple[bool, int], options: argparse.Namespace) -> Config:
    """The configuration of a case, see `_case`."""
    cfasl, latent_dim = case
    seeds = tuple(range(options.runs))
    return _config(options.dataset, cfasl=cfasl, latent_dim=latent_dim, seeds=seeds)


def _measure(options: argparse.Namespace) -> int:
    """In a process of its own: print seconds a step and peak memory in GB."""
    config = _config_of(options.case, options)
    devices.use_compilation_cache()
    speed = device_check.measure(config, options.steps or 20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(speed.seconds_a_step, peak)
    return 0


def _compare(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print a table with one line for each case."""
    cases = [
        f"{objective},{latent_dim}"
        for latent_dim in options.latent_dims
        for objective in ("alone", "cfasl")
    ]
    for case in cases:  # what is wrong is said before anything is measured
        _config_of(_case(case), options)
    results: dict[str, list[list[float]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            results[case].append(_in_a_process(case, arguments))
    print(f"{options.dataset}, {options.runs} run(s), {jax.devices()[0].device_kind}")
    print(
        f"{'beta-VAE':>10} {'D':>3} {'median s':>9} {'fastest s':>9} {'/ alone':>8} "
        f"{'peak GB':>8}"
    )
    for case, measured in results.items():
        objective, latent_dim = case.split(",")
        seconds, memory = np.array(measured).T
        alone = np.array(results[f"alone,{latent_dim}"])[:, 0]
        print(
            f"{objective:>10} {latent_dim:>3} {np.median(seconds):9.3f} "
            f"{seconds.min():9.3f} {np.median(seconds / alone):8.2f} "
            f"{memory.max():8.2f}"
        )
    return 0


def _in_a_process(
    case: str, arguments: Sequence[str], run: Callable = subprocess.run
) -> list[float]:
    """Seconds a step and peak memory in GB of one case.

    Raises:
        ConfigError: with the last line that a failing process printed.
    """
    command = [sys.executable, "-m", "cfasl_jax.benchmark", *arguments]
    done = run([*command, f"--case={case}"], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ConfigError(said[-1].removeprefix("error: "))
    return [float(number) for number in done.stdout.split()[-2:]]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
