"""Short trainings go as they were recorded; `golden.py` records and has all cases."""

import os
import subprocess
import sys
from pathlib import Path

import chex
import golden
import pytest

# A few of the cases, since each compiles for a while: both fidelities, a controller, a
# network of its own and the Lie group's decoder.
CASES = [
    ("control_vae", False, "corrected"),
    ("beta_tcvae", True, "corrected"),
    ("clg_vae", True, "official"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The logs of all cases, by a process that compiles as when they were recorded."""
    folder = tmp_path_factory.mktemp("golden")
    names = [golden.name(*case) for case in CASES]
    command = [sys.executable, golden.__file__, str(folder), *names]
    root = Path(golden.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    subprocess.run(command, check=True, env=environment)
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: golden.name(*case))
def test_the_log_of_a_training_is_the_recorded_one(case, folder):
    got, expected = golden.recorded(case, folder), golden.recorded(case)
    assert [line["step"] for line in got] == [line["step"] for line in expected]
    # A term that was added since is not in the record.
    got = [{k: line[k] for k in old} for line, old in zip(got, expected, strict=True)]
    # Bitwise on the machine that recorded it; elsewhere the rounding is another.
    chex.assert_trees_all_close(got, expected, rtol=1e-3, atol=1e-5)
