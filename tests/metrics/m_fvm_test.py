import dataclasses
from collections import Counter

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY

from cfasl_jax.metrics import Table, m_fvm
from cfasl_jax.metrics.m_fvm import random_subsets

SIZES = (4, 5, 6, 5)
FACTORS = reference.grid(SIZES)
NAMES = ["m_fvm_2", "m_fvm_2_held_out", "m_fvm_3", "m_fvm_3_held_out"]


def score(codes, protocol=TINY):
    encode = reference.lookup(codes, SIZES)
    return m_fvm(encode, SIZES, protocol, reference.rng())


def test_perfect_codes_score_one_for_k_from_two_to_one_less_than_the_factors():
    result = score(reference.perfect(FACTORS))
    assert result["scores"] == NAMES
    assert [result[name] for name in NAMES] == [1.0] * 4


def test_constant_codes_score_zero():
    result = score(reference.constant(FACTORS))
    assert [result[name] for name in NAMES] == [0.0] * 4


@pytest.mark.parametrize("active", [1, 2, 3])
def test_fewer_active_dimensions_than_k_score_zero_and_exactly_k_score_one(active):
    codes = reference.constant(FACTORS)
    codes[:, :active] = reference.noise(FACTORS)[:, :active]
    result = score(codes)
    assert result["active_dims"] == active
    for k in (2, 3):
        if active <= k:
            expected = float(active == k)
            assert result[f"m_fvm_{k}"] == result[f"m_fvm_{k}_held_out"] == expected
    noted = any("is 1 whatever they hold" in note for note in result["notes"])
    assert noted == (active in (2, 3))


def test_noise_scores_one_of_six_sets_on_held_out_votes_and_more_on_its_own():
    random = reference.rng(1)
    protocol = dataclasses.replace(TINY, m_fvm_ks=(2,))
    result = m_fvm(
        lambda factors: random.normal(size=factors.shape), SIZES, protocol, random
    )
    assert result["m_fvm_2_held_out"] == pytest.approx(1 / 6, abs=0.1)
    # The largest of six shares of some 25 votes each.
    assert 0.25 < result["m_fvm_2"] < 0.5


def test_agrees_with_the_plain_loop():
    codes = np.concatenate([reference.noise(FACTORS), reference.mixed(FACTORS)], axis=1)
    encode = reference.lookup(codes, SIZES)
    spy = reference.Spy(encode)
    result = m_fvm(spy, SIZES, TINY, reference.rng())
    whole = encode(spy.calls[0])
    for k, asked in zip((2, 3), spy.calls[1:], strict=True):
        votes = []
        for start in range(0, len(asked), TINY.m_fvm_batch):
            batch = asked[start : start + TINY.m_fvm_batch]
            ratios = reference.normalized_variances(encode(batch), whole, 0.05)
            votes.append((reference.fixed_factors(batch), reference.lowest(ratios, k)))
        train, fresh = votes[: TINY.m_fvm_train], votes[TINY.m_fvm_train :]
        own, lowest, highest = [], [], []
        for fixed in sorted({fixed for fixed, _ in train}, key=sorted):
            counts = Counter(elected for other, elected in train if other == fixed)
            most = max(counts.values())
            own.append(most / sum(counts.values()))
            elected = [e for other, e in fresh if other == fixed]
            # Equal counts leave open which of them is the majority.
            shares = [
                elected.count(e) / len(elected) for e in counts if counts[e] == most
            ]
            lowest.append(min(shares))
            highest.append(max(shares))
        assert len(own) == {2: 6, 3: 4}[k]
        assert result[f"m_fvm_{k}"] == pytest.approx(np.mean(own))
        held_out = result[f"m_fvm_{k}_held_out"]
        assert np.mean(lowest) - 1e-9 <= held_out <= np.mean(highest) + 1e-9


def test_subsets_are_uniform():
    subsets = random_subsets(reference.rng(), 6000, 4, 2)
    assert np.all(subsets.sum(axis=1) == 2)
    _, counts = np.unique(subsets, axis=0, return_counts=True)
    # 6 sets of 1000 expected each, with a standard deviation of 29.
    assert len(counts) == 6
    assert abs(counts - 1000).max() < 150


def test_the_protocol_can_choose_k():
    protocol = dataclasses.replace(TINY, m_fvm_ks=(2,))
    assert score(reference.perfect(FACTORS), protocol)["scores"] == NAMES[:2]
    with pytest.raises(ValueError, match=r"got k = \[4\] and K = 4"):
        score(reference.perfect(FACTORS), dataclasses.replace(TINY, m_fvm_ks=(4,)))


def test_two_factors_are_too_few():
    factors = reference.grid((4, 5))
    with pytest.raises(ValueError, match=r"got k = \[\] and K = 2"):
        m_fvm(Table(reference.perfect(factors), factors), (4, 5), TINY, reference.rng())
