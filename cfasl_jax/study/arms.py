"""An arm of a study: a method, and the settings that it is tuned over."""

import copy
import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cfasl_jax import config as config_lib
from cfasl_jax import objectives
from cfasl_jax.errors import ConfigError, near_miss
from cfasl_jax.settings import Config, flatten
from cfasl_jax.study.python_files import call, mapping, module_at, split
from cfasl_jax.study.scoring import Scoring

TUNING, REPORTING = "tuning", "reporting"
PHASES = (TUNING, REPORTING)

_MOST_SETTINGS = 10_000


@dataclasses.dataclass(frozen=True)
class Setting:
    """One point of an arm's grid.

    Attributes:
        name: its fields and values, such as "beta=4,threshold=0.2"; also the name of
            its folder.
        fields: fields of the grid, with their values.
        tuning: the configuration of its tuning runs, for all tuning seeds; None if the
            arm has only one setting, so that there is nothing to tune.
        reporting: the configuration of its reporting runs, for all reporting seeds.
    """

    name: str
    fields: tuple[tuple[str, Any], ...]
    tuning: Config | None
    reporting: Config

    @property
    def configs(self) -> dict[str, Config]:
        """The configurations by phase."""
        both = {TUNING: self.tuning, REPORTING: self.reporting}
        return {phase: config for phase, config in both.items() if config is not None}


@dataclasses.dataclass(frozen=True)
class Arm:
    """One side of a comparison: a method with its settings.

    Attributes:
        name: its name in tables.
        config: its configuration file, as the study names it.
        overrides: fields that differ from that file in all of its runs.
        settings: at least one.
    """

    name: str
    config: str
    overrides: tuple[tuple[str, Any], ...]
    settings: tuple[Setting, ...]

    @property
    def folder(self) -> str:
        """The name as part of a path."""
        return slug(self.name)

    @property
    def budget(self) -> tuple[int, ...]:
        """The number of settings, and the images that a run of each phase sees."""
        most = [
            max(
                (_images(s.configs[p]) for s in self.settings if p in s.configs),
                default=0,
            )
            for p in PHASES
        ]
        return len(self.settings), *most


def build(
    name: str, arm: Any, entries: Mapping[str, Any], scoring: Scoring, root: Path
) -> Arm:
    """An arm with all its settings, each a validated configuration for each phase.

    Args:
        name: name of the arm.
        arm: entries of the arm; see `definition`.
        entries: entries of the study.
        scoring: scoring of the study.
        root: a folder in which its configuration file is searched for, besides the
            current directory.

    Raises:
        ConfigError: for any mistake; the message says what would be right.
    """
    arm = mapping(f"the arm {name}", arm, ("config", "set", "grid"))
    if "config" not in arm:
        raise ConfigError(f"the arm {name} names no configuration file: 'config'")
    base = _base(str(arm["config"]), root)
    common = mapping("set", entries.get("set", {}))
    own = mapping(f"set of the arm {name}", arm.get("set", {}))
    settings = []
    points = _points(name, arm.get("grid", {}))
    for point in points:
        configs = {}
        for phase in PHASES if len(points) > 1 else (REPORTING,):
            first, last, seeds = _phase(phase, entries, scoring)
            try:
                layers = (first, common, own, point, last)
                configs[phase] = _config(base, layers, seeds)
            except ConfigError as error:
                raise ConfigError(f"the arm {name}, {phase}: {error}") from error
        settings.append(_setting(point, configs.get(TUNING), configs[REPORTING]))
    if len({setting.name for setting in settings}) < len(settings):
        raise ConfigError(f"the grid of the arm {name} contains a setting twice")
    _require_different(name, settings)
    overrides = tuple({**common, **own}.items())
    return Arm(name, str(arm["config"]), overrides, tuple(settings))


def _require_different(arm: str, settings: Sequence[Setting]) -> None:
    """Check that no two settings are the same training under two names."""
    known: dict[str, Setting] = {}
    for setting in settings:
        fields = config_lib.to_dict(setting.reporting)
        read = repr(sorted(objectives.read_fields(fields).items()))
        twin = known.setdefault(read, setting)
        if twin is not setting:
            raise ConfigError(
                f"the grid of the arm {arm} contains a setting twice: {twin.name} and "
                f"{setting.name} differ in no field that its objective reads"
            )


def slug(text: str) -> str:
    """A text as part of a path."""
    return re.sub(r"[^\w.,=+-]+", "_", text).strip("_")


def _images(config: Config) -> int:
    return config.num_steps * config.batch_size


def _base(place: str, root: Path) -> dict[str, Any]:
    """The fields of a configuration file, nested."""
    path, preset = split(place)
    if not path.exists() and (root / path).exists():
        path = root / path
    module = module_at(path, "config")
    if not hasattr(module, "get_config"):
        raise ConfigError(
            f"{path} is not a configuration: it has no function get_config"
        )
    return call(module.get_config, path, preset).to_dict()


def _points(name: str, grid: Any) -> list[Mapping[str, Any]]:
    """The settings of a grid, as fields with values; one without fields if empty."""
    if isinstance(grid, Mapping):
        for field, values in grid.items():
            if isinstance(values, str) or not isinstance(values, Sequence):
                raise ConfigError(
                    f"the grid of the arm {name} needs a tuple of values for {field}, "
                    f"not {values!r}"
                )
        count = math.prod(len(values) for values in grid.values())
        if not 1 <= count <= _MOST_SETTINGS:
            raise ConfigError(
                f"the grid of the arm {name} must have from 1 to {_MOST_SETTINGS:,} "
                f"settings, not {count:,}"
            )
        points = itertools.product(*grid.values())
        return [dict(zip(grid, values, strict=True)) for values in points]
    if isinstance(grid, Sequence) and all(isinstance(p, Mapping) for p in grid):
        return list(grid) or [{}]
    raise ConfigError(
        f"the grid of the arm {name} must be a dict of values or a list of dicts, not "
        f"{grid!r}"
    )


def _phase(
    phase: str, entries: Mapping[str, Any], scoring: Scoring
) -> tuple[dict[str, Any], Mapping[str, Any], Any]:
    """The fields that a phase sets before and after all others, and its seeds."""
    if not entries.get(phase):
        raise ConfigError(f"the study names no seeds of {phase}")
    chosen = mapping(phase, entries[phase], ("seeds", "set"))
    computed = scoring.metrics
    if phase == TUNING:
        # Tuning runs only need the scores that choose among them. Where UDR alone does,
        # a cheap score stands in: no names would mean all metrics.
        computed = scoring.selecting_metrics or ("gaussian_total_correlation",)
    first = {"eval.protocol": scoring.protocols[0], "eval.metrics": computed}
    last = mapping(f"set of {phase}", chosen.get("set", {}))
    return first, last, chosen.get("seeds", ())


def _config(
    base: Mapping[str, Any], layers: Sequence[Mapping[str, Any]], seeds: Any
) -> Config:
    """A file's fields, overridden by layers of others, of which the last wins."""
    fields = copy.deepcopy(dict(base))
    for layer in layers:
        for name, value in layer.items():
            _set(fields, name, value)
    fields["seeds"] = seeds
    return config_lib.from_dict(fields)


def _set(fields: dict[str, Any], name: str, value: Any) -> None:
    """Set a field by its dotted name, such as weights.epsilon."""
    # The same short form as on the command line.
    dotted = "fidelity.preset" if name == "fidelity" else name
    known = flatten(fields)
    if dotted not in known:
        hint = near_miss(name, known)
        raise ConfigError(f"{name} is not a field of the configuration{hint}")
    if dotted == "seeds":
        raise ConfigError("give seeds in tuning and reporting, not among the fields")
    if dotted == "per_run":
        raise ConfigError("a study varies fields by the grid of an arm, not by per_run")
    *groups, last = dotted.split(".")
    place = fields
    for group in groups:
        place = place[group]
    place[last] = value


def _setting(
    point: Mapping[str, Any], tuning: Config | None, reporting: Config
) -> Setting:
    fields = tuple(point.items())
    parts = (f"{name}={_brief(value)}" for name, value in fields)
    return Setting(slug(",".join(parts)) or "default", fields, tuning, reporting)


def _brief(value: Any) -> str:
    """4.0 and 4 alike."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if is_number else str(value)
