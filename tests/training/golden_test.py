"""Short trainings go as they were recorded; `golden.py` records and has all cases."""

import chex
import golden
import pytest

# A few of the cases, since each compiles for a while: both fidelities, a controller, a
# network of its own and the Lie group's decoder.
CASES = [
    ("control_vae", False, "corrected"),
    ("beta_tcvae", True, "corrected"),
    ("clg_vae", False, "corrected"),
    ("beta_tcvae", True, "official"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: golden.name(*case))
def test_the_log_of_a_training_is_the_recorded_one(case, tmp_path):
    got, expected = golden.train(*case, tmp_path), golden.recorded(case)
    assert [line["step"] for line in got] == [line["step"] for line in expected]
    # A term that was added since is not in the record.
    got = [{k: line[k] for k in old} for line, old in zip(got, expected, strict=True)]
    # Bitwise on the machine that recorded it; elsewhere the rounding is another.
    chex.assert_trees_all_close(got, expected, rtol=1e-3, atol=1e-5)
