"""Score codes of any model, given with the factors of their images, or without.

python -m cfasl_jax.evaluate --codes=codes.npy --factors=factors.npy --protocol=dlib
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from cfasl_jax import errors, metrics
from cfasl_jax.run import provenance


def main(argv: Sequence[str]) -> int:
    """Score arrays from files; return the exit code: 0, 1, 2 (bad input) or 130."""
    return errors.exit_code(lambda: _run(argv[1:]), mistakes=(ValueError,))


def _run(arguments: Sequence[str]) -> None:
    parser = errors.ArgumentParser(
        prog="python -m cfasl_jax.evaluate",
        description="Score codes of any model, given with the factors of their images; "
        "without factors, by the scores that need none.",
    )
    parser.add_argument("--codes", required=True, help=".npy, numbers [N, D]")
    parser.add_argument("--factors", help=".npy, integers [N, K]")
    parser.add_argument("--protocol", default="dlib", help=", ".join(metrics.PROTOCOLS))
    parser.add_argument("--metrics", default=None, help="names with commas between")
    parser.add_argument("--seed", type=errors.whole_number(0), default=0)
    parser.add_argument("--output", help="write the full record as JSON")
    options = parser.parse_args(arguments)
    output = None if options.output is None else errors.expanded(options.output)
    if output:
        provenance.require_writable(output)
    results = _scores(options)
    print(metrics.format_scores(results))
    if output:
        provenance.write_json(output, results)


def _scores(options: argparse.Namespace) -> dict[str, Any]:
    codes = metrics.load_array(options.codes, "codes")
    names = None
    if options.metrics is not None:
        names = [name.strip() for name in options.metrics.split(",")]
    arguments = (options.protocol, options.seed)
    if options.factors is None:
        return metrics.score_unsupervised(codes, *arguments, metrics=names)
    factors = metrics.load_array(options.factors, "factors")
    return metrics.score_arrays(codes, factors, *arguments, metrics=names)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
