"""Score codes of any model, with or without factors, or a model of this package.

python -m cfasl_jax.evaluate --codes=codes.npy --factors=factors.npy --protocol=dlib
python -m cfasl_jax.evaluate --model=dsprites/beta_tcvae
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from cfasl_jax import data, errors, files, metrics
from cfasl_jax.errors import ConfigError
from cfasl_jax.run import provenance, shipped
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.evaluate import score_codes
from cfasl_jax.run.model import load_shipped


def main(argv: Sequence[str]) -> int:
    """Score what is named; return the exit code.

    The code is 0; 1 if a model does not meet its card or the record cannot be written;
    2 for bad input; or 130 after Ctrl-C.
    """
    return errors.exit_code(lambda: _run(argv[1:]), mistakes=(ValueError,))


def _run(arguments: Sequence[str]) -> int:
    parser = errors.ArgumentParser(
        prog="python -m cfasl_jax.evaluate",
        description="Score codes of any model, given with the factors of their images; "
        "without factors, by the scores that need none. Or score a model that comes "
        "with this package, and compare it with its card.",
    )
    scored = parser.add_mutually_exclusive_group(required=True)
    scored.add_argument("--codes", help=".npy, numbers [N, D]")
    scored.add_argument("--model", help=f"one of {', '.join(shipped.names())}")
    parser.add_argument("--factors", help=".npy, integers [N, K], of the codes")
    parser.add_argument(
        "--data-dir",
        default="",
        help="where real images for the model lie; without it, images from where its "
        "card says, which are rendered if it was trained on rendered ones",
    )
    parser.add_argument(
        "--protocol",
        help=f"{', '.join(metrics.PROTOCOLS)}; default: the card's for a model, else "
        "dlib",
    )
    parser.add_argument("--metrics", default=None, help="names with commas between")
    parser.add_argument(
        "--seed",
        type=errors.whole_number(0),
        help="default: the model's own, else 0",
    )
    parser.add_argument("--output", help="write the full record as JSON")
    options = parser.parse_args(arguments)
    output = None if options.output is None else errors.expanded(options.output)
    if output:
        errors.require_writable(output)
    met = True
    if options.model is None:
        results = _scores(options)
        print(metrics.format_scores(results))
    else:
        results, met = _scores_of_model(options)
    if output:
        files.write_json(output, results)
    return 0 if met else 1


def _scores(options: argparse.Namespace) -> dict[str, Any]:
    if options.data_dir:
        raise ConfigError("--data-dir goes with --model, not with --codes")
    codes, names = metrics.load_array(options.codes, "codes"), _names(options)
    arguments = (options.protocol or "dlib", options.seed or 0)
    if options.factors is None:
        return metrics.score_unsupervised(codes, *arguments, metrics=names)
    factors = metrics.load_array(options.factors, "factors")
    return metrics.score_arrays(codes, factors, *arguments, metrics=names)


def _scores_of_model(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """The record of a shipped model's scores, and whether it meets its card."""
    if options.factors is not None:
        raise ConfigError("--factors goes with --codes, not with --model")
    card, model = shipped.card(options.model), load_shipped(options.model)
    protocol = metrics.get_protocol(options.protocol or card.scores["protocol"])
    names = _names(options) or ()
    if options.seed is not None:
        model = dataclasses.replace(model, seed=options.seed)
    where = dataclasses.replace(card.config.data, source=card.spec.source)
    if options.data_dir:
        where = dataclasses.replace(where, source="auto", dir=options.data_dir)
    dataset = data.load(card.config.dataset, where)
    print(f"{dataset.name}: {dataset.num_images:,} images, {dataset.source}")
    results, left_out = score_codes(Codes(model, dataset), dataset, protocol, names)
    results["dataset"] = dataset.name
    results["provenance"] = provenance.describe(dataset.source)
    print(metrics.format_scores(results), *left_out, sep="\n")
    if dataset.source != card.spec.source:
        print(
            f"the card's scores are on images of another source, {card.spec.source}, "
            "and are not compared"
        )
        return results, True
    if results["protocol"] != card.scores["protocol"]:
        print(
            f"the card's scores are by another protocol, {card.scores['protocol']}, "
            "and are not compared"
        )
        return results, True
    text, met = shipped.comparison(options.model, card.scores, results)
    print(f"\n{text}")
    return results, met


def _names(options: argparse.Namespace) -> list[str] | None:
    """The metrics that are asked for; None for all."""
    if options.metrics is None:
        return None
    return [name.strip() for name in options.metrics.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
