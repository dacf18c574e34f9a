import metrics_reference as reference
import numpy as np
import pytest
from scipy import stats

from cfasl_jax.metrics import Grid, Samples, Table
from cfasl_jax.metrics.sampling import as_source, confined, hold_out

SIZES = (3, 4, 5)
FACTORS = reference.grid(SIZES)
CODES = reference.noise(FACTORS)


def sources():
    shuffled = reference.rng().permutation(len(FACTORS))
    return [
        Grid(reference.lookup(CODES, SIZES), SIZES),
        Table(CODES, FACTORS),
        Table(CODES[shuffled], 10 * FACTORS[shuffled] - 7),  # Any labels will do.
    ]


@pytest.mark.parametrize("source", sources())
def test_draws_share_the_fixed_factors_and_spread_over_the_rest(source):
    random = reference.rng()
    anchors = random.integers(0, source.num_images, 12)
    fixed = random.random((12, 3)) < 0.5
    fixed[:, 2] &= ~fixed.all(axis=1)
    ids = source.draw(random, anchors, fixed, 1500, 2)
    factors, wanted = source.factors(ids), source.factors(anchors)
    for n in range(12):
        for k in range(3):
            found = set(factors[n, :, k].tolist())
            if fixed[n, k]:
                assert found == {wanted[n, k]}
            else:
                assert len(found) == SIZES[k]
        free = np.prod([size for size, f in zip(SIZES, fixed[n], strict=True) if not f])
        assert len(set(ids[n].tolist())) == free  # All that may be drawn are.


@pytest.mark.parametrize("source", sources()[:2])
def test_codes_belong_to_the_ids(source):
    ids = np.array([[0, 7], [59, 31]])
    np.testing.assert_array_equal(source.factors(ids), FACTORS[ids])
    np.testing.assert_array_equal(source.codes(ids), CODES[ids])


@pytest.mark.parametrize("source", sources())
def test_refuses_where_too_few_distinct_images_share_the_values(source):
    fixed = np.array([[True, True, False]])
    source.draw(reference.rng(), np.array([0]), fixed, 3, 5)
    with pytest.raises(ValueError, match=r"0, 1 fixed, some values leave 5 .* 6 are"):
        source.draw(reference.rng(), np.array([0]), fixed, 3, 6)


def test_groups_of_many_factors_do_not_overflow():
    # A step of the first factor is 256^8 = 2^64 in mixed radix: 0 in an int64.
    first, others = np.repeat([0, 1], 512), np.tile(np.arange(256), 4)
    factors = np.stack([first] + [others] * 8, axis=1)
    table = Table(np.zeros((1024, 1)), factors)
    anchors = np.arange(1024)
    ids = table.draw(reference.rng(), anchors, np.ones((1024, 9), bool), 30, 2)
    np.testing.assert_array_equal(factors[ids], factors[anchors][:, None].repeat(30, 1))
    assert all(len(set(row)) == 2 for row in ids.tolist())


def test_with_codes_keeps_the_factors():
    for source in sources():
        other = source.with_codes(lambda ids: 2.0 * ids[:, None])
        ids = np.array([3, 14, 15])
        np.testing.assert_array_equal(other.codes(ids), 2.0 * ids[:, None])
        np.testing.assert_array_equal(other.factors(ids), source.factors(ids))


def test_held_out_votes_repeat_no_training_vote():
    random = reference.rng()
    calls = []

    def draw(chosen):
        calls.append(len(chosen))
        return random.integers(0, 4, (len(chosen), 2))

    ids = hold_out(draw, 8, 3, "a metric")
    sets = [frozenset(row) for row in ids.tolist()]
    assert not set(sets[:3]) & set(sets[3:])
    assert calls[0] == 8
    with pytest.raises(ValueError, match="a metric found too few images"):
        hold_out(lambda chosen: np.zeros((len(chosen), 2), np.int64), 8, 3, "a metric")


def test_a_grid_is_confined_to_distinct_images_and_a_table_never():
    grid, table, _ = sources()
    few = confined(grid, 25, reference.rng())
    ids = np.arange(25)
    rows = few.factors(ids)
    assert few.num_images == len(np.unique(rows, axis=0)) == 25
    lookup = {tuple(f): code for f, code in zip(FACTORS.tolist(), CODES, strict=True)}
    expected = [lookup[tuple(row)] for row in rows.tolist()]
    np.testing.assert_array_equal(few.codes(ids), expected)
    for source, count in [(table, 25), (grid, None), (grid, 60), (grid, 61)]:
        assert confined(source, count, reference.rng()) is source


def samples(source, seed=3):
    """Samples about a source's codes, of a standard deviation that names the image."""
    deviations = source.with_codes(lambda ids: np.outer(1.0 + ids, [1.0, 0.0, 2.0]))
    return Samples(source, deviations, np.random.default_rng(seed))


@pytest.mark.parametrize("source", sources()[:2])
def test_a_sample_is_drawn_anew_each_time_an_image_is_asked_for(source):
    drawn = samples(source)
    ids = np.full((2, 4_000), 7)
    eps = (drawn.codes(ids) - CODES[7]) / 8.0
    assert len(np.unique(eps[..., 0])) == 8_000
    for column, scale in ((eps[..., 0], 1.0), (eps[..., 2], 2.0)):
        assert stats.kstest(column.ravel() / scale, "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(eps[..., 0].ravel(), eps[..., 2].ravel())[0, 1]) < 0.06
    np.testing.assert_allclose(eps[..., 1], 0.0, atol=1e-7)
    again = samples(source).codes(ids)
    np.testing.assert_array_equal(again, samples(source).codes(ids))
    other = drawn.seeded(np.random.default_rng(4)).codes(ids)
    assert not np.any(other[..., 0] == again[..., 0])


def test_samples_have_the_images_of_their_means_and_may_be_confined():
    grid, table, _ = sources()
    drawn = samples(grid)
    ids = np.array([3, 14, 15])
    np.testing.assert_array_equal(drawn.factors(ids), grid.factors(ids))
    assert drawn.num_images == 60
    fixed = np.tile([True, True, False], (3, 1))
    found = drawn.factors(drawn.draw(reference.rng(), ids, fixed, 9, 2))
    np.testing.assert_array_equal(
        found[..., :2], np.repeat(FACTORS[ids, None, :2], 9, 1)
    )
    few = confined(drawn, 25, reference.rng())
    assert few.num_images == len(np.unique(few.factors(np.arange(25)), axis=0)) == 25
    twice = few.codes(np.array([4, 4]))
    assert twice[0, 0] != twice[1, 0]
    assert twice[0, 1] == few.means.codes(np.array([4]))[0, 1]
    assert confined(samples(table), 25, reference.rng()).num_images == 60


def test_sources_are_validated():
    with pytest.raises(ValueError, match="at least 2 factors with at least 2 values"):
        as_source(lambda factors: factors, (5,))
    with pytest.raises(
        ValueError, match=r"has the factor sizes \(3, 4, 5\), not \(3, 4"
    ):
        as_source(Table(CODES, FACTORS), (3, 4, 4))
    with pytest.raises(ValueError, match=r"codes \[n, D\] for n = 2 images"):
        Grid(lambda factors: np.zeros(3), SIZES).codes(np.array([0, 1]))
    with pytest.raises(ValueError, match="NaN"):
        Grid(lambda f: np.full((len(f), 1), np.nan), SIZES).codes(np.array([0, 1]))
    with pytest.raises(ValueError, match="beyond float32"):
        Grid(lambda f: np.full((len(f), 1), 1e39), SIZES).codes(np.array([0, 1]))
