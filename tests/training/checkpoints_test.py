"""Checkpoints that are damaged, of another shape, or of an early version."""

import errno
import logging
import shutil
import subprocess
import sys

import chex
import full_disk
import jax
import numpy as np
import pytest
import tiny

from cfasl_jax.errors import ConfigError
from cfasl_jax.training import loop
from cfasl_jax.training.checkpoints import Checkpoints, latest_step

SPEC = tiny.dataset().spec


@pytest.fixture(scope="module")
def state():
    return loop.initial_state(tiny.config(), tiny.objective(), SPEC)


def after(state, step):
    """A state that can be told from others."""
    return state.replace(step=np.full_like(state.step, step))


@pytest.fixture
def workdir(tmp_path, state):
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        for step in (4, 8):
            checkpoints.save(step, after(state, step))
    return tmp_path


def truncate(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(folder):
    for path in folder.rglob("d/*"):
        path.write_bytes(b"\x00" * path.stat().st_size)


def empty(folder):
    shutil.rmtree(folder / "default")


def lose_metadata(folder):
    (folder / "default" / "_METADATA").write_text("{]")


def lose_manifest(folder):
    for path in folder.rglob("manifest.ocdbt"):
        path.unlink()


DAMAGES = [truncate, overwrite, empty, lose_metadata, lose_manifest]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_the_newest_one_that_reads_is_used(damage, workdir, state, capsys):
    damage(workdir / "checkpoints" / "8")
    with Checkpoints(workdir, keep=3) as checkpoints:
        chex.assert_trees_all_equal(checkpoints.restore(state), after(state, 4))
    assert "the checkpoint of step 8" in capsys.readouterr().err
    assert (workdir / "checkpoints" / "8").exists()


def test_that_of_a_step_is_used_if_it_is_asked_for(workdir, state):
    config, objective = tiny.config(), tiny.objective()
    for step in (4, 8):
        found = loop.restore(config, objective, SPEC, workdir, step)
        chex.assert_trees_all_equal(found, after(state, step))
    with pytest.raises(ConfigError, match="no checkpoint of step 6, only of 4, 8 "):
        loop.restore(config, objective, SPEC, workdir, 6)


def test_training_moves_a_damaged_one_aside_and_writes_it_again(workdir, state):
    truncate(workdir / "checkpoints" / "8")
    with Checkpoints(workdir, keep=3) as checkpoints:
        checkpoints.restore(state, set_aside=True)
        assert latest_step(workdir) == 4
        checkpoints.save(8, after(state, 8))
    assert (workdir / "checkpoints" / "damaged-8").is_dir()
    with Checkpoints(workdir, keep=3) as checkpoints:
        chex.assert_trees_all_equal(checkpoints.restore(state), after(state, 8))


def test_a_reader_leaves_what_another_process_is_writing(workdir, state, tmp_path):
    unfinished = workdir / "checkpoints" / "12.orbax-checkpoint-tmp"
    unfinished.mkdir()
    with Checkpoints(workdir, keep=1, writes=False) as checkpoints:
        chex.assert_trees_all_equal(checkpoints.restore(state), after(state, 8))
    assert unfinished.exists()
    with pytest.raises(ConfigError, match="holds no checkpoint yet"):
        loop.restore(tiny.config(), tiny.objective(), SPEC, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_reader_whose_checkpoints_are_gone_reads_the_newer_ones(
    workdir, state, capsys
):
    """The training run goes on and keeps only the last few."""
    with Checkpoints(workdir, keep=1, writes=False) as reader:
        assert latest_step(workdir) == 8
        with Checkpoints(workdir, keep=2) as run:
            for step in (12, 16, 20):
                run.save(step, after(state, step))
        assert not (workdir / "checkpoints" / "8").exists()
        chex.assert_trees_all_equal(reader.restore(state), after(state, 20))
    assert capsys.readouterr().err == ""


def test_a_write_that_the_system_refuses_is_its_error(tmp_path, state):
    ended = subprocess.run(
        [sys.executable, full_disk.__file__, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [str(errno.EFBIG), str(tmp_path / "checkpoints")]
    assert "Traceback" not in ended.stderr
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert latest_step(tmp_path) is None
        checkpoints.save(4, state)


def test_only_late_answers_of_refused_writes_are_left_out(tmp_path, caplog):
    Checkpoints(tmp_path, keep=2).close()
    refused = ValueError("DATA_LOSS: Error writing [os_error_code='28']")
    for error in (refused, ValueError("DATA_LOSS: Error reading"), None, False):
        logging.getLogger("asyncio").error("%s", error, exc_info=error)
    assert caplog.messages == ["DATA_LOSS: Error reading", "None", "False"]


def test_if_none_reads_one_sentence_says_so_and_no_training_starts_anew(workdir, state):
    for step in ("4", "8"):
        empty(workdir / "checkpoints" / step)
    for _ in range(2):  # a scheduler repeats the command
        with (
            Checkpoints(workdir, keep=3) as checkpoints,
            pytest.raises(ConfigError, match=r"no checkpoint in .* can be read"),
        ):
            checkpoints.restore(state, set_aside=True)
    assert latest_step(workdir) == 8


def test_another_shape_is_not_taken(workdir, state):
    wider = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf]), state)
    with (
        Checkpoints(workdir, keep=3) as checkpoints,
        pytest.raises(ConfigError, match="can be read"),
    ):
        checkpoints.restore(wider)


def test_parts_that_are_not_asked_for_are_left_out(tmp_path, state):
    more = state.replace(params=state.params | {"gone": np.zeros(3, np.float32)})
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        checkpoints.save(4, more)
        chex.assert_trees_all_equal(checkpoints.restore(state), state)
