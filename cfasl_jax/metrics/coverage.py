"""How often the 95% intervals of the scores contain the expected score.

    python -m cfasl_jax.metrics.coverage --protocol=fast --seeds=200 --metrics=mig,fvm

In 95% of all evaluations, an interval should contain the score that the protocol gives
on average over its random draws. Five sets of codes of 153,600 images are scored with
many seeds, and the mean score is used as the expected one. docs/scores.md has the
tables.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from cfasl_jax import errors
from cfasl_jax.errors import require_choice
from cfasl_jax.metrics.protocols import PROTOCOLS, Protocol, get_protocol
from cfasl_jax.metrics.registry import get_metrics
from cfasl_jax.metrics.sampling import Grid
from cfasl_jax.metrics.suite import score

SIZES = (5, 8, 12, 16, 20)


def code_sets() -> dict[str, np.ndarray]:
    """Codes of all images of the grid by name: float32 [153600, 10] each."""
    factors = np.stack([axis.reshape(-1) for axis in np.indices(SIZES)], axis=1)
    known = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((len(known), 10))
    dead = 0.01 * noise[:, 5:]
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    bent = np.sin(1.5 * known + rng.uniform(0, 2, 5)) + 0.4 * known * known[:, ::-1]
    twice = known[:, [0, 0, 1, 1, 2]]
    sets = {
        "aligned": np.concatenate([known + 0.5 * noise[:, :5], dead], axis=1),
        "rotated": np.concatenate([known @ turn + 0.3 * noise[:, :5], dead], axis=1),
        "nonlinear": np.concatenate([bent + 0.3 * noise[:, :5], dead], axis=1),
        "duplicated": np.concatenate(
            [twice + 0.5 * noise[:, :5], noise[:, 5:]], axis=1
        ),
        "noise": noise,
    }
    return {name: codes.astype(np.float32) for name, codes in sets.items()}


def simulate(
    codes: np.ndarray, protocol: Protocol | str, metrics: Sequence[str], seeds: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores [seeds] and ends of their intervals [seeds, 2] by name.

    Scores without an interval are left out.
    """
    grid = Grid(
        lambda factors: codes[np.ravel_multi_index(tuple(factors.T), SIZES)], SIZES
    )
    found: dict[str, list[Any]] = {}
    for seed in range(seeds):
        results = score(
            grid, SIZES, protocol, seed, metrics=metrics, chance=False, jobs=1
        )
        for name, entry in results["scores"].items():
            if entry["interval"] is not None:
                found.setdefault(name, []).append((entry["value"], *entry["interval"]))
    columns = {name: np.array(rows) for name, rows in found.items()}
    return {name: (rows[:, 0], rows[:, 1:]) for name, rows in columns.items()}


def coverage(scores: np.ndarray, ends: np.ndarray) -> float:
    """Share of intervals [n, 2] that contain the mean of the scores [n]."""
    # If all scores are equal, rounding must not move the mean out of its interval.
    low, high = ends[:, 0] - 1e-12, ends[:, 1] + 1e-12
    return float(np.mean((low <= scores.mean()) & (scores.mean() <= high)))


def main(argv: Sequence[str]) -> int:
    """Print the table in Markdown; return the exit code: 0, 2 (bad input) or 130."""
    return errors.exit_code(lambda: _run(argv[1:]))


def _run(arguments: Sequence[str]) -> None:
    parser = errors.ArgumentParser(prog="python -m cfasl_jax.metrics.coverage")
    parser.add_argument("--protocol", default="fast", help=", ".join(PROTOCOLS))
    parser.add_argument("--metrics", help="names with commas between")
    parser.add_argument("--seeds", type=errors.whole_number(2), default=200)
    parser.add_argument("--sets", help="code sets with commas between")
    options = parser.parse_args(arguments)
    protocol = get_protocol(options.protocol)
    names = get_metrics(None if options.metrics is None else options.metrics.split(","))
    sets = code_sets()
    chosen = list(sets) if options.sets is None else options.sets.split(",")
    for which in chosen:
        require_choice("code set", which, sets)
    cells: dict[str, dict[str, str]] = {}
    for which in chosen:
        start = time.perf_counter()
        for name, found in simulate(
            sets[which], protocol, names, options.seeds
        ).items():
            cells.setdefault(name, {})[which] = _cell(*found)
        print(f"{which}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    print(f"| {protocol.label}, {options.seeds} seeds | {' | '.join(chosen)} |")
    print("|---" * (len(chosen) + 1) + "|")
    for name, row in cells.items():
        print(f"| {name} | {' | '.join(row.get(which, '-') for which in chosen)} |")


def _cell(scores: np.ndarray, ends: np.ndarray) -> str:
    """Coverage in percent, after the mean score; a constant score is marked."""
    if np.ptp(scores) == 0:
        return f"{scores.mean():.3f}: constant"
    return f"{scores.mean():.3f}: {coverage(scores, ends):.1%}"


if __name__ == "__main__":
    sys.exit(main(sys.argv))
