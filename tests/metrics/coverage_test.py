"""Intervals hold the expected score about as often as they say, and are not idle."""

import dataclasses

import metrics_reference as reference
import numpy as np
import pytest

from cfasl_jax.metrics import coverage

PROTOCOL = dataclasses.replace(
    reference.TINY, m_fvm_ks=(2,), bootstrap=40, refits=10, fvm_variance_samples=100
)
SEEDS = 60


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("fvm_own_votes", "fvm"),
        ("fvm_held_out", "fvm"),
        ("m_fvm_2", "m_fvm"),
        ("m_fvm_2_held_out", "m_fvm"),
        ("mig", "mig"),
    ],
)
def test_an_interval_covers_and_would_not_if_it_were_half_as_wide(name, metric, runs):
    scores, ends = runs(metric)[name]
    assert coverage.coverage(scores, ends) >= 0.85
    half = (ends + ends.mean(axis=1, keepdims=True)) / 2
    assert coverage.coverage(scores, half) < 0.85


@pytest.fixture(scope="module")
def runs():
    """Scores and intervals of a metric over seeds, simulated once."""
    codes, known = coverage.code_sets()["rotated"], {}

    def simulated(metric):
        if metric not in known:
            known[metric] = coverage.simulate(codes, PROTOCOL, [metric], SEEDS)
        return known[metric]

    return simulated


def test_intervals_of_noise_are_as_wide_as_its_scores_vary():
    # Global variances of a hundred images decide which dimensions of noise are elected.
    codes = coverage.code_sets()["noise"]
    found = coverage.simulate(codes, PROTOCOL, ["m_fvm"], 40)
    for scores, ends in found.values():
        reach = np.median(np.diff(ends)) / 2
        assert 1.5 < reach / scores.std(ddof=1) < 3.2
    # Few draws give far larger scores: an interval goes down further than up, whereas
    # one that only knows their variance goes up further (1.23), as shares below 1/2 do.
    scores, ends = found["m_fvm_2"]
    assert np.median((ends[:, 1] - scores) / (scores - ends[:, 0])) < 1.1


@pytest.mark.parametrize(
    "metric",
    [
        "modularity",
        "irs",
        "infomec",
        "explicitness",
        "gaussian_total_correlation",
        "gaussian_wasserstein_correlation",
        "mutual_info_score",
    ],
)
def test_intervals_are_as_wide_as_scores_vary(metric):
    codes = coverage.code_sets()["rotated"]
    protocol = dataclasses.replace(PROTOCOL, modularity_samples=2_000)
    for name, found in coverage.simulate(codes, protocol, [metric], 20).items():
        scores, ends = found
        reach = np.median(np.diff(ends)) / 2
        assert 1.5 < reach / scores.std(ddof=1) < 5, name


def test_coverage_by_hand():
    scores = np.array([0.0, 1.0, 2.0])
    ends = np.array([[-1.0, 0.5], [0.9, 1.1], [1.0, 3.0]])
    assert coverage.coverage(scores, ends) == pytest.approx(2 / 3)


def test_the_command_prints_a_table_and_refuses_unknown_names(capsys):
    arguments = ["coverage", "--seeds=2", "--metrics=fvm", "--sets=noise"]
    assert coverage.main([*arguments, "--protocol=fast"]) == 0
    assert "| fvm_held_out | 0." in capsys.readouterr().out
    assert coverage.main([*arguments, "--protocol=fsat"]) == 2
    assert "did you mean 'fast'" in capsys.readouterr().err
    assert coverage.main(["coverage", "--sets=nose"]) == 2
    assert "unknown code set 'nose'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--seeds=0", "must be a whole number from 2 to"),
        ("--seeds=x", "must be a whole number from 2 to"),
        ("--metrics=", "unknown metric ''"),
        ("--sets=", "unknown code set ''"),
        ("--bogus", "unrecognized arguments: --bogus"),
    ],
)
def test_mistakes_are_told_in_one_sentence(argument, said, capsys):
    assert coverage.main(["coverage", argument]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
