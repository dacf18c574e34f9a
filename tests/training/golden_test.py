"""Short trainings go as they were recorded; `golden.py` records and has all cases."""

import os
import subprocess
import sys
from pathlib import Path

import chex
import golden
import pytest

# A few of the cases, since each compiles for a while: both fidelities, a controller, a
# network of its own and the Lie group's decoder. For each, the number of steps, and the
# relative tolerance, within which rounding on another kind of CPU leaves it: the
# codebook's inductive bias amplifies rounding from step to step, and the large
# generators of the published code do so at once.
CASES = {
    ("control_vae", False, "corrected"): (3, 1e-3),
    ("clg_vae", False, "corrected"): (3, 1e-3),
    ("beta_tcvae", True, "corrected"): (3, 1e-2),
    ("beta_tcvae", True, "official"): (3, 1e-3),
    ("clg_vae", True, "official"): (1, 5e-2),
}


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
    steps, rtol = CASES[case]
    got, expected = golden.recorded(case, folder), golden.recorded(case)
    assert [line["step"] for line in got] == [line["step"] for line in expected]
    # A term that was added since is not in the record.
    got = [{k: line[k] for k in old} for line, old in zip(got, expected, strict=True)]
    # Bitwise on the machine that recorded it.
    chex.assert_trees_all_close(got[:steps], expected[:steps], rtol=rtol, atol=1e-5)
