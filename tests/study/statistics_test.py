"""Statistics of a study against scipy, plain loops, and by simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from cfasl_jax.study.statistics import (
    Difference,
    holm,
    paired_difference,
    sign_flip_p,
    summarise,
)


def by_seed(values):
    return dict(enumerate(values))


def test_a_summary_is_that_of_scipy():
    values = np.random.default_rng(0).normal(0.5, 0.1, 7)
    summary = summarise([*values, None])
    described = stats.describe(values)
    assert summary.n == 7
    np.testing.assert_allclose(summary.mean, described.mean)
    np.testing.assert_allclose(summary.sd, np.sqrt(described.variance))
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(summary.interval, expected)


def test_few_values_have_no_spread():
    assert summarise([]) == (None, None, None, 0)
    assert summarise([None, 0.3]) == (0.3, None, None, 1)


def test_a_paired_difference_is_that_of_scipys_paired_t_test():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 9))
    difference = paired_difference(by_seed(first), by_seed(second))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert difference.n == 9
    np.testing.assert_allclose(difference.mean, (first - second).mean())
    np.testing.assert_allclose(difference.interval, expected)


def test_only_seeds_of_both_arms_make_pairs():
    first = {1: 0.5, 2: 0.7, 3: None, 4: 0.9}
    second = {4: 0.6, 2: 0.5, 3: 0.1, 5: 0.2}
    difference = paired_difference(first, second)
    assert difference.n == 2
    np.testing.assert_allclose(difference.mean, (0.2 + 0.3) / 2)
    assert paired_difference({1: 0.5}, {2: 0.5}) == (None, None, None, 0)
    assert paired_difference({1: 0.5}, {1: 0.25}) == (0.25, None, None, 1)


@pytest.mark.parametrize("n", [2, 5, 8])
def test_the_sign_flip_test_counts_every_choice_of_signs(n):
    d = np.random.default_rng(n).normal(0.4, 1, n)
    flips = [np.dot(signs, d) for signs in itertools.product((1, -1), repeat=n)]
    share = np.mean(np.abs(flips) >= abs(d.sum()) - 1e-12)
    np.testing.assert_allclose(sign_flip_p(d), share)


def test_many_pairs_are_flipped_at_random_and_always_alike():
    d = np.random.default_rng(3).normal(0.4, 1, 30)
    p = sign_flip_p(d)
    assert p == sign_flip_p(d)
    assert abs(p - stats.ttest_1samp(d, 0).pvalue) < 0.01


def test_five_pairs_cannot_be_significant_alone():
    assert sign_flip_p(np.array([5.0, 5.1, 5.2, 5.3, 5.4])) == 2 / 32


def test_equal_arms_differ_by_nothing():
    difference = paired_difference(by_seed([1.0] * 4), by_seed([1.0] * 4))
    assert difference == (0, (0, 0), 1, 4)
    assert not difference.excludes_zero


@pytest.mark.parametrize(
    ("interval", "excludes"),
    [((0.1, 0.2), True), ((-2, -1), True), ((-1, 1), False), ((0, 1), False)],
)
def test_an_interval_excludes_zero_only_strictly(interval, excludes):
    assert Difference(0.1, interval, 0.5, 5).excludes_zero == excludes
    assert not Difference(0.1, None, None, 1).excludes_zero


def test_holm_is_the_textbooks_example():
    # Four hypotheses: .005 * 4, .01 * 3, then .03 * 2, which lifts .04.
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, None, 0.5]) == [1.0, None, 1.0]


def test_holm_errs_in_five_studies_of_a_hundred_at_most():
    p = np.random.default_rng(4).uniform(size=(4_000, 3))
    errs = np.mean([min(holm(row)) <= 0.05 for row in p])
    assert 0.04 < errs < 0.055  # 1 - (1 - .05 / 3)^3 = .049
