"""The configuration of a run: its title, the changed fields, the command for it."""

import shlex
from collections.abc import Mapping
from typing import Any

from cfasl_jax import objectives
from cfasl_jax.data import DATASETS
from cfasl_jax.objectives import OBJECTIVES
from cfasl_jax.report.html import details, table, text
from cfasl_jax.report.names import spaced
from cfasl_jax.settings import belongs, flatten, heads_learning_rate, num_elements


def title(config: Mapping[str, Any]) -> str:
    """The method and the data set, by their usual names."""
    objective = str(config.get("objective", "model"))
    dataset = str(config.get("dataset", "unnamed data"))
    model = OBJECTIVES[objective].label if objective in OBJECTIVES else objective
    if config.get("cfasl"):
        model = f"CFASL ({model})"
    return f"{model} on {DATASETS[dataset].label if dataset in DATASETS else dataset}"


def fidelity(switches: Mapping[str, bool] | str | None) -> str | None:
    """The preset that equals the switches, or the names of those that are on."""
    if not isinstance(switches, Mapping):
        return switches
    on = [name for name, is_on in switches.items() if is_on]
    if not on:
        return "corrected"
    return "official" if len(on) == len(switches) else ", ".join(on)


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """The objective's own fields and the latent dimension, for the head of the page."""
    entry = OBJECTIVES.get(str(config.get("objective")))
    flat = flatten(config)
    own = [name for name in flat if entry and belongs(name, entry.fields)]
    return {"D (latent_dim)": config.get("latent_dim")} | {
        spaced(name): _per_run(config).get(name, flat[name]) for name in own
    }


def read_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration on one level, without the fields that the run never reads."""
    shown = {
        name: value
        for name, value in objectives.read_fields(config).items()
        if not belongs(name, ("fidelity", "per_run"))  # shown in another form
    }
    if config.get("fidelity") is not None:
        shown["fidelity"] = fidelity(config["fidelity"])
    return shown | _per_run(config)


def _per_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with a value for each seed, by their dotted names."""
    return {name: list(values) for name, values in config.get("per_run") or ()}


def changed_fields(
    config: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """The fields that a run reads and that were changed: (value, default)."""
    usual = flatten({**defaults, "fidelity": fidelity(defaults.get("fidelity"))})
    if (preset := fidelity(config.get("fidelity"))) == "official":
        usual["codebook.elements"] = num_elements(preset)
    if "learning_rate" in config:
        usual["codebook.learning_rate"] = heads_learning_rate(config["learning_rate"])
    return {
        name: (value, usual.get(name))
        for name, value in read_fields(config).items()
        if str(_plain(value)) != str(_plain(usual.get(name)))
    }


def _plain(value: Any) -> Any:
    """A value as JSON would return it, where a tuple is a list."""
    return list(value) if isinstance(value, tuple) else value


def command(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The command line that trains a run with this configuration."""
    words = ["./launch/local.sh", *arguments(config, defaults), "--workdir=DIR"]
    return shlex.join(words)


def arguments(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """The arguments of that command: the data set's file, and the changed fields."""
    words = [f"--config=configs/{config.get('dataset')}.py"]
    changed = changed_fields(config, defaults)
    per_run = {name: tuple(values) for name, values in _per_run(config).items()}
    if per_run:
        words.append(f"--config.per_run={tuple(per_run.items())}")
    for name, (value, _) in changed.items():
        if name in per_run:
            continue
        if name == "fidelity" and value not in ("corrected", "official"):
            switches = str(value).split(", ")
            words += [f"--config.fidelity.{switch}=True" for switch in switches]
            continue
        if name == "seeds":
            value = tuple(value)
        words.append(f"--config.{name}={value}")
    return words


def _fidelity_note(config: Mapping[str, Any]) -> str:
    """A note that explains the run's fidelity."""
    name = fidelity(config.get("fidelity"))
    if name is None:
        return ""
    meaning = {
        "corrected": "what the paper describes is computed, also where the published "
        "code does something else",
        "official": "what the published code computes, also where it departs from the "
        "paper",
    }.get(name, "as in corrected, except for these departures of the published code")
    return f'<p class="note">Fidelity {text(name)}: {text(meaning)}.</p>\n'


def section(config: Mapping[str, Any], defaults: Mapping[str, Any] | None) -> str:
    """The configuration as HTML: first the changed fields, then all that were read.

    Args:
        config: nested, as in config.json.
        defaults: those of the data set's file in configs/; None if it is not known.
    """
    everything = table("Configuration", ("field", "value"), read_fields(config).items())
    folded = _fidelity_note(config) + details(
        "All fields that this run reads", everything
    )
    if defaults is None:
        return folded
    rows = [(name, *both) for name, both in changed_fields(config, defaults).items()]
    where = f"configs/{config.get('dataset')}.py"
    changed = (
        table(f"Changed from {where}", ("field", "value", "default"), rows)
        if rows
        else f"<p>Nothing was changed from {text(where)}.</p>"
    )
    again = (
        '<p class="note">The command that trains it again:</p>\n'
        f"<pre><code>{text(command(config, defaults))}</code></pre>"
    )
    return f"{again}\n{changed}\n{folded}"
