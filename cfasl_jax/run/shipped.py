"""Trained models that come with the package, each with a card that says what it is.

A model is stored in the folder shipped/ as two files: NAME.npz with its parameters,
named by their path in the tree ("encoder/conv_0/kernel"), and NAME.json, its card. A
card is the config.json of a single run, see `provenance`, with further entries:

    command             what trains it
    seed, step          of the run, and of its checkpoint
    weights             type of the numbers, and how far rounding to it moved the codes
    model               reconstruction, KL and active dimensions, as in results.json
    scores              the run's scores, as in results.json: with their protocol,
                        intervals and chance floors
    scores_provenance   of the scores, as "provenance" is of the training
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.traverse_util
import numpy as np

from cfasl_jax.data.dataset import Spec
from cfasl_jax.errors import ConfigError, near_miss
from cfasl_jax.metrics.table import format_interval
from cfasl_jax.run import provenance
from cfasl_jax.settings import Config
from cfasl_jax.types import Params

FOLDER = Path(__file__).parent.parent / "shipped"

# A score that is computed again meets the card if it is inside the card's interval, or
# this close to the card's value. On another device or version, codes differ in their
# last digits, so that codes near the edge of a bin may change the score.
ROUNDING = 0.005


class Card(NamedTuple):
    """The card of a shipped model.

    Attributes:
        config: configuration of this run alone.
        spec: spec of its data set.
        seed: seed of the run.
        step: step of its checkpoint.
        scores: its record of scores, as `metrics.score` returns it.
        command: the command that trains it.
    """

    config: Config
    spec: Spec
    seed: int
    step: int
    scores: dict[str, Any]
    command: str


def names() -> tuple[str, ...]:
    """The names of all shipped models, such as "dsprites/beta_tcvae"."""
    cards = FOLDER.glob("*/*.json")
    return tuple(sorted(f"{card.parent.name}/{card.stem}" for card in cards))


def path(name: str, suffix: str) -> Path:
    """The file of a model's card (".json") or parameters (".npz")."""
    return FOLDER / f"{name}{suffix}"


def card(name: str) -> Card:
    """The card of a shipped model.

    Raises:
        ConfigError: if there is none of that name; the message lists all names.
    """
    known = names()
    if name not in known:
        listed = f"; the shipped models are {', '.join(known)}" if known else ""
        raise ConfigError(
            f"{name} is neither a directory nor the name of a shipped model{listed}"
            f"{near_miss(name, known)}"
        )
    config, spec, *_ = provenance.read(path(name, ".json"))
    record = json.loads(path(name, ".json").read_text(encoding="utf-8"))
    assert spec is not None
    return Card(
        config,
        spec,
        record["seed"],
        record["step"],
        record["scores"],
        record["command"],
    )


def params(name: str) -> Params:
    """The parameters of a shipped model, as float32."""
    with np.load(path(name, ".npz")) as arrays:
        return from_flat(arrays)


def to_flat(tree: Params, dtype: str) -> dict[str, np.ndarray]:
    """Parameters by their path in the tree, as they are stored."""
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    return {name: np.asarray(leaf).astype(dtype) for name, leaf in flat.items()}


def from_flat(arrays: Mapping[str, np.ndarray]) -> Params:
    """The tree of parameters from the result of `to_flat`, as float32."""
    flat = {name: arrays[name].astype(np.float32) for name in arrays}
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def meets(value: float, entry: Mapping[str, Any]) -> bool:
    """Whether a score that was computed again agrees with its entry on the card."""
    low, high = entry["interval"] or (np.inf, -np.inf)
    return low <= value <= high or abs(value - entry["value"]) <= ROUNDING


def comparison(
    name: str, of_card: Mapping[str, Any], results: Mapping[str, Any]
) -> tuple[str, bool]:
    """New scores beside those of the card, and whether all of them agree.

    Args:
        name: of the model.
        of_card: its `Card.scores`.
        results: a record of the same protocol, on the same data.

    Returns:
        A table with a sentence below it, and whether all scores meet the card.
    """
    before = of_card["scores"]
    both = {key: entry for key, entry in results["scores"].items() if key in before}
    width = max(map(len, [*both, "score"]))
    lines = [
        f"{'score':{width}}  {'now':>7}  {'card':>7}  {'interval on the card':>20}"
    ]
    for key, entry in both.items():
        between = format_interval(before[key]["interval"])
        value = f"{entry['value']:z7.4f}  {before[key]['value']:z7.4f}"
        lines.append(f"{key:{width}}  {value}  {between:>20}")
    missed = [key for key in both if not meets(both[key]["value"], before[key])]
    rule = f"inside the interval on the card or within {ROUNDING} of its value"
    if missed:
        lines.append(
            f"{name} does not meet its card: {', '.join(missed)} should be {rule}"
        )
    elif both:
        lines.append(f"{name} meets its card: every score is {rule}")
    else:
        lines.append(f"the card of {name} has none of these scores")
    return "\n".join(lines), not missed
