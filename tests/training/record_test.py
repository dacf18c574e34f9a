"""The log of a run: what a damaged one keeps, and what a resumed run makes of it."""

import json

import numpy as np
import pytest
import tensorboardX

from cfasl_jax.errors import ConfigError
from cfasl_jax.training import record
from cfasl_jax.training.record import Record

LINES = [json.dumps({"step": step, "loss": [float(step)]}) for step in (2, 4, 6)]


def write(workdir, lines):
    (workdir / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))


def resume(workdir, step):
    """The log's steps after a run that resumed at a step and logged the next one."""
    with Record(workdir, (1,), step, 100) as log:
        log.write(step + 2, {"loss": np.array([0.0])})
    return record.read(workdir)[0].tolist()


def test_lines_past_the_checkpoint_are_written_again(tmp_path):
    write(tmp_path, LINES)
    assert resume(tmp_path, 4) == [2, 4, 6]
    assert record.read(tmp_path)[1]["loss"].tolist() == [[2.0, 4.0, 0.0]]


def test_half_a_line_at_the_end_is_nothing_to_speak_of(tmp_path, capsys):
    write(tmp_path, [*LINES, LINES[0][:9]])
    assert resume(tmp_path, 6) == [2, 4, 6, 8]
    assert not list(tmp_path.glob("*damaged*"))


def test_tensorboard_keeps_the_step_of_the_checkpoint(tmp_path, monkeypatch):
    """It drops all steps from the one named on, which must be written again."""
    started = []

    class Writer(tensorboardX.SummaryWriter):
        def __init__(self, folder, purge_step):
            started.append(purge_step)
            super().__init__(folder, purge_step=purge_step)

    monkeypatch.setattr(tensorboardX, "SummaryWriter", Writer)
    write(tmp_path, LINES)
    resume(tmp_path, 4)
    assert started == [5]


def test_a_run_of_several_takes_its_own_log_and_the_times_of_its_training(tmp_path):
    with Record(tmp_path, (7, 8), 0, 100) as log:
        log.write(2, {"loss": np.array([1.0, 2.0])})
        log.write(4, {"loss": np.array([3.0, 4.0]), "eval/mig": np.array([0.1, 0.2])})
        log.write(
            6, {"loss": np.array([5.0, 6.0]), "eval/mig": np.array([0.3, np.nan])}
        )
    own = tmp_path / "own"
    own.mkdir()
    record.take_out([1], (7, 8), tmp_path, own)
    steps, terms = record.read(own)
    assert steps.tolist() == [2, 4, 6]
    assert terms["loss"].tolist() == [[2.0, 4.0, 6.0]]
    assert record.read_scores(own)["mig"][1].tolist() == [[0.2]]
    both = record.read_scores(tmp_path)["mig"]
    assert both[0].tolist() == [4, 6]
    assert both[1][0].tolist() == [0.1, 0.3]
    copies = list(own.glob("tensorboard/*/*"))
    assert [path.parent.name for path in copies] == ["seed_8"]
    (events,) = (tmp_path / "tensorboard" / "seed_8").iterdir()
    assert copies[0].read_bytes() == events.read_bytes()


BAD = [
    "[1]",
    "{",
    "null",
    '{"step": "x", "loss": [1]}',
    '{"loss": [1]}',
    '{"step": 3, "loss": 1}',
    '{"step": 3, "loss": ["a"]}',
    '{"step": 3, "loss": [1.0, 2.0]}',
    '{"step": 3}',
    '{"step": 1, "loss": [1.0]}',
    "\x00\xff",
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_line_costs_that_line_alone_and_is_kept_aside(bad, tmp_path, capsys):
    write(tmp_path, [LINES[0], bad, *LINES[1:]])
    before = (tmp_path / "metrics.jsonl").read_bytes()
    assert resume(tmp_path, 6) == [2, 4, 6, 8]
    (kept,) = tmp_path.glob("metrics.jsonl.damaged-*")
    assert kept.read_bytes() == before
    assert kept.name in capsys.readouterr().err


def test_a_term_that_was_added_later_is_missing_before(tmp_path):
    newer = json.dumps({"step": 8, "loss": [8.0], "new": [0.5]})
    write(tmp_path, [*LINES, newer])
    assert resume(tmp_path, 8) == [2, 4, 6, 8, 10]
    new = record.read(tmp_path)[1]["new"]
    np.testing.assert_array_equal(new, [[np.nan, np.nan, np.nan, 0.5, np.nan]])
    assert not list(tmp_path.glob("*damaged*"))


def test_a_log_that_is_a_directory_gets_one_sentence(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        record.read(tmp_path)


def test_another_encoding_is_read_as_far_as_it_goes(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes("\n".join(LINES).encode("utf-16"))
    assert record.read(tmp_path)[0].tolist() == []
