import dataclasses

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY

from cfasl_jax.metrics import Table, fvm
from cfasl_jax.metrics.metric import record
from cfasl_jax.metrics.votes import shares_by_group

SIZES = (4, 5, 6)
FACTORS = reference.grid(SIZES)


def score(codes, protocol=TINY):
    encode = reference.lookup(codes, SIZES)
    return fvm(encode, SIZES, protocol, reference.rng())


@pytest.mark.parametrize("case", [reference.perfect, reference.duplicated])
def test_perfect_and_duplicated_codes_score_one(case):
    assert score(case(FACTORS))["fvm"] == 1.0


def test_constant_codes_score_zero():
    result = score(reference.constant(FACTORS))
    assert result["fvm"] == result["fvm_own_votes"] == result["fvm_held_out"] == 0.0
    assert result["by_factor"]["fvm"] == [0.0] * 3
    assert result["active_dims"] == 0


def test_one_active_dimension_scores_the_share_of_its_factor():
    codes = reference.constant(FACTORS)
    codes[:, 1] = FACTORS[:, 1]
    result = score(codes)
    # It is elected in every vote, a third of which fix the factor it is assigned.
    assert result["active_dims"] == 1
    assert result["fvm_own_votes"] == pytest.approx(1 / 3, abs=0.12)


def test_noise_and_rotation_score_less():
    assert score(reference.noise(FACTORS))["fvm_held_out"] < 0.6
    assert score(reference.rotated(FACTORS))["fvm"] < 0.95


@pytest.mark.parametrize("scored_on", ["own", "held_out"])
def test_agrees_with_the_plain_loop(scored_on):
    protocol = dataclasses.replace(TINY, fvm_scored_on=scored_on)
    # Noisy enough for wrong votes.
    codes = reference.mixed(FACTORS)
    codes += reference.rng(8).normal(size=codes.shape) * codes.std(axis=0)
    encode = reference.lookup(codes, SIZES)
    spy = reference.Spy(encode)
    result = fvm(spy, SIZES, protocol, reference.rng())
    whole, asked = spy.calls
    whole, votes = encode(whole), []
    for start in range(0, len(asked), protocol.fvm_batch):
        batch = asked[start : start + protocol.fvm_batch]
        (label,) = reference.fixed_factors(batch)
        ratios = reference.normalized_variances(encode(batch), whole, 0.05)
        (elected,) = reference.lowest(ratios, 1)
        votes.append((elected, label))
    train, fresh = votes[: protocol.fvm_train], votes[protocol.fvm_train :]
    assigned = {}
    for d in range(codes.shape[1]):
        counts = [train.count((d, k)) for k in range(3)]
        assigned[d] = counts.index(max(counts))

    def share(votes):
        return sum(assigned[d] == k for d, k in votes) / len(votes)

    assert result["fvm_own_votes"] == pytest.approx(share(train))
    assert result["fvm_held_out"] == pytest.approx(share(fresh))
    scored = train if scored_on == "own" else fresh
    assert 1 > result["fvm"] == pytest.approx(share(scored))
    shares = [share([vote for vote in scored if vote[1] == k]) for k in range(3)]
    assert result["by_factor"]["fvm"] == pytest.approx(shares)
    assert result["active_dims"] == 4


def test_a_factor_that_is_never_fixed_has_no_share():
    shares = shares_by_group(np.array([True, False]), np.array([2, 2]), 4)
    np.testing.assert_array_equal(shares, [np.nan, np.nan, 0.5, np.nan])
    result = record(TINY, reference.rng(), 1, {"x": 0.5}, {}, by_factor={"x": shares})
    assert result["by_factor"]["x"] == [None, None, 0.5, None]


def test_no_held_out_vote_repeats_a_training_vote():
    spy = reference.Spy(reference.lookup(reference.perfect(FACTORS), SIZES))
    fvm(spy, SIZES, TINY, reference.rng())
    votes = spy.calls[1].reshape(-1, TINY.fvm_batch, 3).tolist()
    sets = [frozenset(map(tuple, vote)) for vote in votes]
    assert not set(sets[: TINY.fvm_train]) & set(sets[TINY.fvm_train :])


def test_a_table_draws_among_rows_that_share_the_value():
    codes = reference.perfect(FACTORS)
    assert fvm(Table(codes, FACTORS), SIZES, TINY, reference.rng())["fvm"] == 1.0


def test_a_table_with_a_lone_value_is_refused():
    factors = FACTORS.copy()
    factors[0, 0] = 4
    table = Table(reference.perfect(factors), factors)
    with pytest.raises(
        ValueError, match="factors 0 fixed, some values leave 1 distinct"
    ):
        fvm(table, (5, 5, 6), TINY, reference.rng())
