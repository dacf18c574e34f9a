"""Seconds a training step and peak memory, each case in a process of its own.

    python -m cfasl_jax.benchmark --dataset=dsprites --latent_dims=6,10 --runs=1

Cases are timed in turn, round after round, so that their ratios hold on a machine whose
speed drifts; the median and the fastest round are printed.
"""

import argparse
import importlib.util
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from cfasl_jax import config as config_lib
from cfasl_jax import data, objectives
from cfasl_jax.data import NAMES as DATASETS
from cfasl_jax.settings import Config
from cfasl_jax.training import devices, loop
from cfasl_jax.training import state as state_lib


def seconds_a_step(config: Config, steps: int) -> float:
    """Time one compiled call of `steps` steps, once it is compiled."""
    dataset = data.load(config.dataset, replace(config.data, source="rendered"))
    objective = objectives.build(config, dataset.spec)
    state = devices.replicate(loop.initial_state(config, objective, dataset.spec))
    fixed = loop.fixed_arguments(config, dataset)
    chunk = devices.compile_chunk(
        objective,
        state_lib.optimizer(objective, config.clip_norm),
        config.num_pairs,
        steps,
    )
    state, _ = jax.block_until_ready(chunk(state, *fixed))
    start = time.perf_counter()
    jax.block_until_ready(chunk(state, *fixed))
    return (time.perf_counter() - start) / steps


def _config(dataset: str, cfasl: bool, latent_dim: int, runs: int) -> Config:
    """A data set's own configuration with a few fields changed."""
    path = Path("configs") / f"{dataset}.py"
    spec = importlib.util.spec_from_file_location(dataset, path)
    if spec is None or spec.loader is None or not path.exists():
        raise SystemExit(f"error: {path} not found; run this where configs/ is")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fields = module.get_config().to_dict()
    fields |= {"cfasl": cfasl, "latent_dim": latent_dim, "seeds": tuple(range(runs))}
    return config_lib.from_dict(fields)


def _measure(dataset: str, cfasl: bool, latent_dim: int, runs: int, steps: int) -> None:
    """In a process of its own: print seconds a step and peak memory in GB."""
    devices.use_compilation_cache()
    seconds = seconds_a_step(_config(dataset, cfasl, latent_dim, runs), steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(seconds, peak)


def main(argv: Sequence[str]) -> None:
    """Print a table, a line a case."""
    parser = argparse.ArgumentParser(prog="python -m cfasl_jax.benchmark")
    parser.add_argument("--dataset", default="dsprites", choices=DATASETS)
    parser.add_argument("--latent_dims", default="6,10")
    parser.add_argument("--runs", type=int, default=1, help="seeds trained together")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args(argv[1:])
    if options.case:
        cfasl, latent_dim = options.case.split(",")
        _measure(
            options.dataset,
            cfasl == "cfasl",
            int(latent_dim),
            options.runs,
            options.steps,
        )
        return
    cases = [
        f"{objective},{latent_dim}"
        for latent_dim in options.latent_dims.split(",")
        for objective in ("alone", "cfasl")
    ]
    results: dict[str, list[list[float]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            command = [sys.executable, "-m", "cfasl_jax.benchmark", f"--case={case}"]
            output = subprocess.run(
                [*command, *argv[1:]], capture_output=True, text=True, check=True
            ).stdout
            results[case].append([float(x) for x in output.split()[-2:]])
    print(f"{options.dataset}, {options.runs} run(s), {jax.devices()[0].device_kind}")
    print(f"{'beta-VAE':>10} {'D':>3} {'median s':>9} {'fastest s':>9} {'peak GB':>8}")
    for case, measured in results.items():
        objective, latent_dim = case.split(",")
        seconds, memory = np.array(measured).T
        print(
            f"{objective:>10} {latent_dim:>3} {np.median(seconds):9.3f} "
            f"{seconds.min():9.3f} {memory.max():8.2f}"
        )


if __name__ == "__main__":
    main(sys.argv)
