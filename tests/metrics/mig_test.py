import dataclasses

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY
from sklearn.metrics import mutual_info_score

from cfasl_jax.metrics import mig

FACTORS = reference.grid((4, 4, 4, 4))  # 256 points, as many as TINY draws.


def score(codes, protocol=TINY, factors=FACTORS):
    return mig(codes, factors, protocol, reference.rng())


def test_perfect_codes_on_the_whole_grid_score_one():
    # Independent factors with fewer values than bins: I(c_k; v_k) = H(v_k), others 0.
    assert score(reference.perfect(FACTORS))["mig"] == pytest.approx(1.0, abs=1e-12)


def test_more_values_than_bins_cost_the_merged_entropy():
    # 20 equally likely values in 10 bins of 2: I = log 10 of H = log 20.
    factors = reference.grid((20, 13))
    perfect = reference.perfect(factors)[:, :1]
    codes = np.concatenate([perfect, np.zeros_like(perfect)], axis=1)
    expected = np.log(10) / np.log(20) / 2  # The other factor scores 0.
    result = score(codes, dataclasses.replace(TINY, mig_samples=260), factors)
    assert result["mig"] == pytest.approx(expected)


@pytest.mark.parametrize("case", [reference.constant, reference.duplicated])
def test_constant_and_duplicated_codes_score_zero(case):
    result = score(case(FACTORS))
    assert result["mig"] == pytest.approx(0.0, abs=1e-12)
    assert result["intervals"]["mig"] == pytest.approx([0.0, 0.0], abs=1e-12)


def test_a_rotation_by_45_degrees_scores_zero():
    # v0 + v1 and v0 - v1 know as much of v0 as of v1: no gap.
    result = score(reference.rotated(FACTORS))
    assert result["mig"] == pytest.approx(0.0, abs=1e-12)


def test_noise_scores_low():
    assert score(reference.noise(FACTORS))["mig"] < 0.1


def test_agrees_with_the_plain_loop():
    codes = reference.mixed(FACTORS)
    expected = reference.mig(codes, FACTORS, TINY.mig_bins)
    assert score(codes)["mig"] == pytest.approx(expected, rel=1e-9)
    alone = [reference.mig(codes, FACTORS[:, [k]], TINY.mig_bins) for k in range(4)]
    assert score(codes)["by_factor"]["mig"] == pytest.approx(alone, rel=1e-9)


def test_agrees_with_scikit_learn():
    codes = reference.mixed(FACTORS)
    gaps = []
    for k in range(FACTORS.shape[1]):
        known = sorted(
            mutual_info_score(reference.histogram_bins(codes[:, d].tolist(), 10), f)
            for d in range(codes.shape[1])
            for f in [FACTORS[:, k]]
        )
        total = mutual_info_score(FACTORS[:, k], FACTORS[:, k])
        gaps.append((known[-1] - known[-2]) / total)
    assert score(codes)["mig"] == pytest.approx(np.mean(gaps), rel=1e-9)


def test_the_interval_narrows_with_more_points():
    codes = reference.mixed(FACTORS)
    many = np.tile(codes, (20, 1)), np.tile(FACTORS, (20, 1))
    few = score(codes)
    more = score(many[0], dataclasses.replace(TINY, mig_samples=5120), many[1])
    widths = []
    for result in (few, more):
        low, high = result["intervals"]["mig"]
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_record_says_what_the_score_depends_on():
    result = score(reference.mixed(FACTORS))
    assert result["protocol"] == "fast (modified)"
    assert result["seed"] == 0
    assert result["active_dims"] == 4  # The dead dimension of `mixed` is below 0.05.


def test_the_same_generator_gives_the_same_score():
    codes = np.tile(reference.mixed(FACTORS), (2, 1))
    factors = np.tile(FACTORS, (2, 1))
    assert score(codes, factors=factors) == score(codes, factors=factors)


def test_refuses_one_dimension_and_too_few_points():
    with pytest.raises(ValueError, match="two dimensions, got codes of 1"):
        score(reference.perfect(FACTORS)[:, :1])
    with pytest.raises(ValueError, match="MIG needs 256 points, got 255"):
        score(reference.perfect(FACTORS)[1:], factors=FACTORS[1:])
