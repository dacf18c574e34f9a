"""The log of a training run: metrics.jsonl, TensorBoard's events, a progress bar."""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cfasl_jax import files
from cfasl_jax.errors import ConfigError
from cfasl_jax.settings import run_names

METRICS_FILE = "metrics.jsonl"
_EVENTS = "tensorboard"

# The prefix of the names of scores, which not every line has.
SCORES = "eval/"

# Steps are int32 on the device.
_MOST = 2**31 - 1


class Record:
    """The log of a run; writes nothing if `active` is False (other processes).

    metrics.jsonl has one line for each logged step: the step, and for every loss term
    the mean over the steps since the last line, one value for each run. If the state
    was scored, the line also has the scores, as eval/NAME. The file holds no times, so
    that a resumed run writes exactly the file of an uninterrupted one.
    """

    def __init__(
        self,
        workdir: Path,
        seeds: tuple[int, ...],
        first_step: int,
        num_steps: int,
        active: bool = True,
    ) -> None:
        self._active = active
        self._seeds = seeds
        if not active:
            return
        self._first_step, self._num_steps = first_step, num_steps
        self._start = time.monotonic()
        path = workdir / METRICS_FILE
        _forget_after(path, first_step)
        self._file = path.open("a", encoding="utf-8")
        self._boards = _boards(workdir / _EVENTS, seeds, first_step)
        self._plain = not sys.stderr.isatty()
        self._bar = tqdm(
            total=num_steps,
            initial=first_step,
            unit="step",
            smoothing=0.1,
            dynamic_ncols=True,
            file=sys.stderr,
            disable=self._plain,
        )

    def write(self, step: int, terms: dict[str, np.ndarray]) -> None:
        """Log the terms' means [R] at a step."""
        if not self._active:
            return
        line = {"step": step, **{name: v.tolist() for name, v in terms.items()}}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for run, board in enumerate(self._boards):
            for name, values in terms.items():
                tag = name if name.startswith(SCORES) else f"train/{name}"
                board.add_scalar(tag, values[run], step)
        self._progress(step, terms)

    def _progress(self, step: int, terms: dict[str, np.ndarray]) -> None:
        self._bar.update(step - self._bar.n)
        loss = f"loss {terms['loss'].mean():.2f}"
        if not self._plain:
            self._bar.set_postfix_str(loss)
            return
        rate = (step - self._first_step) / (time.monotonic() - self._start)
        left = (self._num_steps - step) / rate
        print(
            f"step {step}/{self._num_steps}  {loss}  {rate:.2f} steps/s  "
            f"{tqdm.format_interval(left)} left",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Flush and close everything."""
        if not self._active:
            return
        self._bar.close()
        self._file.close()
        for board in self._boards:
            board.close()

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _boards(folder: Path, seeds: tuple[int, ...], first_step: int) -> list[Any]:
    """TensorBoard's writers, one for each run."""
    # A third of a second, which loading a model does not need.
    import tensorboardX

    # TensorBoard drops this step and later ones, which are going to be written again.
    purged = first_step + 1
    return [
        tensorboardX.SummaryWriter(str(folder / name), purge_step=purged)
        for name in _names(seeds)
    ]


def _names(seeds: tuple[int, ...]) -> list[str]:
    """The name of each run's folder of TensorBoard's events."""
    return [name.replace(",", "").replace(" ", "_") for name in run_names(seeds)]


def take_out(
    places: Sequence[int], seeds: tuple[int, ...], source: Path, target: Path
) -> None:
    """Write the log that some of several runs would have written without the others.

    Args:
        places: which of the runs.
        seeds: of all runs.
        source: the working directory of all.
        target: the working directory of these runs.
    """
    lines, _ = _sound_lines(source / METRICS_FILE)
    own = [
        {k: v if k == "step" else [v[place] for place in places] for k, v in x.items()}
        for x in lines
    ]
    text = "".join(json.dumps(line) + "\n" for line in own)
    (target / METRICS_FILE).write_text(text, encoding="utf-8")
    new_names = _names(tuple(seeds[place] for place in places))
    for place, name in zip(places, new_names, strict=True):
        events = source / _EVENTS / _names(seeds)[place]
        if events.exists():  # they also say when the run was trained
            shutil.copytree(events, target / _EVENTS / name, dirs_exist_ok=True)


def read(workdir: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The losses in metrics.jsonl as arrays: steps [T] and, for each term, [R, T].

    If an earlier version wrote a line without some term, the term is NaN there.
    """
    lines, _ = _sound_lines(workdir / METRICS_FILE)
    steps = np.array([line["step"] for line in lines], int)
    names = dict.fromkeys(name for line in lines for name in _terms(line))
    missing = [np.nan] * _num_runs(lines[0]) if lines else []
    terms = {
        name: np.array([line.get(name, missing) for line in lines]).T for name in names
    }
    return steps, terms


def read_scores(workdir: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The scores in metrics.jsonl by name: steps [T] and values [R, T] of each.

    A value is NaN where one of several runs has no score. Steps at which no run has one
    are left out.
    """
    lines, _ = _sound_lines(workdir / METRICS_FILE)
    found: dict[str, list[tuple[int, list[float]]]] = {}
    for line in lines:
        for name in line:
            if name.startswith(SCORES) and not np.isnan(line[name]).all():
                score = found.setdefault(name.removeprefix(SCORES), [])
                score.append((line["step"], line[name]))
    return {
        name: (np.array([step for step, _ in score]), np.array([v for _, v in score]).T)
        for name, score in found.items()
    }


def _sound_lines(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The valid lines, and whether others had to be left out.

    A process that is killed while it writes leaves half a line at the end; this does
    not count.
    """
    if not path.exists():
        return [], False
    if not path.is_file():  # reading a pipe would wait for a writer
        raise ConfigError(f"{path} cannot be read: it is not a file")
    try:
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    lines: list[dict[str, Any]] = []
    bad = []
    for number, text in enumerate(texts):
        line = _parsed(text)
        if line is not None and _follows(line, lines):
            lines.append(line)
        else:
            bad.append(number)
    return lines, bad not in ([], [len(texts) - 1])


def _follows(line: dict[str, Any], lines: list[dict[str, Any]]) -> bool:
    """Whether a line has a later step than all before, and the same number of runs."""
    if not lines:
        return True
    later = line["step"] > lines[-1]["step"]
    return later and _num_runs(line) == _num_runs(lines[0])


def _terms(line: dict[str, Any]) -> list[str]:
    """Names of the loss terms in a line."""
    return [n for n in line if n != "step" and not n.startswith(SCORES)]


def _num_runs(line: dict[str, Any]) -> int:
    """R, the number of values that each term of a line has."""
    return next(len(values) for name, values in line.items() if name != "step")


def _parsed(text: str) -> dict[str, Any] | None:
    """One line, if it is an object with a step and a list of numbers for each term."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):  # brackets without end
        return None
    step = line.get("step") if isinstance(line, dict) else None
    if type(step) is not int or not 0 <= step <= _MOST:
        return None
    values = [value for name, value in line.items() if name != "step"]
    numbers = all(
        isinstance(value, list) and all(map(_is_number, value)) for value in values
    )
    return line if numbers and len({len(value) for value in values}) == 1 else None


def _is_number(value: Any) -> bool:
    """Whether a part of a line is a number that fits into an array."""
    return type(value) is float or (type(value) is int and abs(value) <= _MOST)


def _forget_after(path: Path, step: int) -> None:
    """Drop lines past a step: the resumed run writes them again."""
    lines, damaged = _sound_lines(path)
    if damaged:
        kept = path.with_name(f"{path.name}.damaged-{int(time.time())}")
        shutil.copyfile(path, kept)
        print(
            f"{path} had lines that are not part of a log; they are left out, and the "
            f"file as it was is kept as {kept.name}",
            file=sys.stderr,
        )
    texts = [json.dumps(line) + "\n" for line in lines if line["step"] <= step]
    with files.replacing(path) as temporary:
        temporary.write_text("".join(texts), encoding="utf-8")
