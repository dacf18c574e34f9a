"""What a training run writes as it goes: metrics.jsonl, TensorBoard, a progress bar."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

METRICS_FILE = "metrics.jsonl"


class Record:
    """The log of a run; writes nothing where `active` is False (other processes).

    metrics.jsonl has one line a logged step: the step, and for every loss term the
    mean over the steps since the last line, one value a run. It holds no times, so a
    resumed run writes the very file of an uninterrupted one.
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
        self._boards = _boards(workdir / "tensorboard", seeds, first_step)
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
                board.add_scalar(f"train/{name}", values[run], step)
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
    """TensorBoard's writers, one a run; none, and a sentence, where it is missing."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        print(
            f"no TensorBoard events are written ({error}): metrics.jsonl holds the "
            f"same numbers; 'pip install tensorboardX' brings them",
            file=sys.stderr,
        )
        return []
    return [
        SummaryWriter(str(folder / f"seed_{seed}"), purge_step=first_step)
        for seed in seeds
    ]


def read(workdir: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """metrics.jsonl as arrays: steps [T] and, for each term, [R, T]."""
    lines = _whole_lines(workdir / METRICS_FILE)
    steps = np.array([line["step"] for line in lines], int)
    names = [name for name in (lines[0] if lines else {}) if name != "step"]
    terms = {name: np.array([line[name] for line in lines]).T for name in names}
    return steps, terms


def _whole_lines(path: Path) -> list[dict]:
    """Lines that parse; a process killed while writing leaves half a line."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                break
    return lines


def _forget_after(path: Path, step: int) -> None:
    """Drop lines past a step: the resumed run writes them again."""
    kept = [json.dumps(line) for line in _whole_lines(path) if line["step"] <= step]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    temporary.replace(path)
