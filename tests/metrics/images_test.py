import dataclasses

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY

from cfasl_jax.metrics import PROTOCOLS, num_images, score

SIZES = (9, 8, 10, 7)
CODES = reference.noise(reference.grid(SIZES))
PROTOCOL = dataclasses.replace(
    TINY,
    z_diff_train=30,
    z_diff_eval=10,
    z_diff_batch=20,
    fvm_train=20,
    fvm_eval=10,
    m_fvm_train=20,
    m_fvm_eval=20,
)


def count(protocol, metrics, seeds=6):
    """Mean number of distinct images that an evaluation asks for."""
    found = []
    for seed in range(seeds):
        spy = reference.Spy(reference.lookup(CODES, SIZES))
        score(spy, SIZES, protocol, seed, metrics=metrics, chance=False)
        found.append(len(np.unique(np.concatenate(spy.calls), axis=0)))
    return np.mean(found)


@pytest.mark.parametrize("limit", [None, 400])
@pytest.mark.parametrize("metrics", [["z_diff"], ["fvm"], ["m_fvm"], None])
def test_expected_images_are_those_that_an_evaluation_asks_for(metrics, limit):
    protocol = dataclasses.replace(PROTOCOL, z_diff_images=limit)
    draws = metrics or ["fvm", "z_diff", "m_fvm"]
    expected = num_images(protocol, SIZES, draws)["all"]
    assert expected < 0.8 * len(CODES)
    assert count(protocol, draws) == pytest.approx(expected, rel=0.02)


def test_parts_are_given_by_metric():
    parts = num_images("official", (3, 6, 40, 32, 32), ["mig", "fvm"])
    assert list(parts) == ["points", "fvm", "all"]
    assert parts["points"] == pytest.approx(9_600)
    votes = 1_600 * 100  # Most of them of distinct images, 100 more for the variance.
    assert 0.85 * votes < parts["fvm"] < votes
    assert max(parts["points"], parts["fvm"]) < parts["all"] < sum(parts.values()) / 1.5


def test_fast_needs_few_images():
    sizes = (3, 6, 40, 32, 32)
    assert num_images("fast", sizes)["all"] < 80_000
    everywhere = dataclasses.replace(PROTOCOLS["fast"], z_diff_images=None)
    assert num_images(everywhere, sizes)["all"] > 100_000


def test_a_grid_smaller_than_the_points_is_needed_whole():
    assert num_images("dlib", (10, 10, 10))["all"] == pytest.approx(1000)
