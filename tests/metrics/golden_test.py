"""Scores of fixed codes, recorded, which changes of structure must not move.

    PYTHONPATH=.:tests/support python tests/metrics/golden_test.py    records them anew

A change that is meant to alter a score records them anew and says so.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from cfasl_jax.metrics import score_arrays

PATH = Path(__file__).parent.parent / "support" / "golden" / "scores.json"
SIZES = (6, 5, 8, 4)


def scores():
    """Values of all scores of noisy, slightly turned codes with a dead dimension."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(0, size, 4000) for size in SIZES], axis=1)
    turn = np.eye(4, 5) + 0.3 * rng.normal(size=(4, 5))
    codes = factors / np.array(SIZES) @ turn + 0.5 * rng.normal(size=(4000, 5))
    codes[:, 4] *= 1e-3
    results = score_arrays(codes, factors, "fast", 3, chance=False)
    return {name: entry["value"] for name, entry in results["scores"].items()}


def test_scores_are_the_recorded_ones():
    recorded = json.loads(PATH.read_text())
    assert scores() == pytest.approx(recorded, abs=1e-6)


if __name__ == "__main__":
    PATH.write_text(json.dumps(scores(), indent=1) + "\n")
