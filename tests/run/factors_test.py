"""Where metrics draw images: a full grid, a table with holes and repeats, nothing."""

import dataclasses

import numpy as np
import pytest
import tiny

from cfasl_jax.data.dataset import Labels
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.metrics.points import UnavailableError
from cfasl_jax.run import factors as factors_lib
from cfasl_jax.run.factors import NoScoresError, controlled

# Six images of a 2 x 1 x 3 world: (0, 0, 2) is missing, (1, 0, 0) occurs twice.
FACTORS = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 2], [1, 0, 1], [1, 0, 0]], np.int32
)


def read(indices):
    """Codes that name their image: the index and its square."""
    return np.stack([indices, indices**2], axis=1).astype(float)


def labelled(factors, sizes):
    labels = Labels(("object", "light", "angle"), sizes, factors)
    return dataclasses.replace(
        tiny.dataset(), grid=None, labels=labels, num_images=len(factors)
    )


def test_a_constant_factor_of_a_grid_is_left_out():
    grid = FactorGrid(("x", "one", "y"), (4, 1, 5))
    dataset = dataclasses.replace(tiny.dataset(), grid=grid, num_images=20)
    source, names, left_out = factors_lib.factor_source(read, dataset)
    assert source.sizes.tolist() == [4, 5]
    assert names == ["x", "y"]
    assert left_out == ["one has only one value and is left out of the scores"]
    ids = np.arange(20)
    np.testing.assert_array_equal(source.codes(ids), read(ids))
    np.testing.assert_array_equal(source.factors(ids)[:, 1], ids % 5)


def test_a_table_draws_among_the_images_there_are():
    source, names, left_out = factors_lib.factor_source(
        read, labelled(FACTORS, sizes=(2, 4, 3))
    )
    assert source.sizes.tolist() == [2, 3]
    assert names == ["object", "angle"]
    assert len(left_out) == 2
    assert "5 of the 6 combinations" in left_out[0]
    assert "in 6 images" in left_out[0]
    assert left_out[1].startswith("light has only one value")
    np.testing.assert_array_equal(source.factors(np.arange(6)), FACTORS[:, [0, 2]])
    rng, anchors = np.random.default_rng(0), np.arange(6)
    fixed = np.tile([True, False], (6, 1))
    ids = source.draw(rng, anchors, fixed, count=50, min_distinct=2)
    for anchor, drawn in zip(anchors, ids, strict=True):
        alike = np.flatnonzero(FACTORS[:, 0] == FACTORS[anchor, 0])
        assert set(drawn) == set(alike)
        np.testing.assert_array_equal(source.codes(drawn), read(drawn))
    with pytest.raises(UnavailableError, match="leave 1 distinct images"):
        source.draw(rng, anchors, ~fixed, count=50, min_distinct=2)


def test_images_are_controlled_only_if_each_combination_occurs_equally_often():
    grid = controlled(tiny.dataset())
    assert grid is not None
    assert grid.indices(np.array([3, 4])) == 19
    assert controlled(dataclasses.replace(tiny.dataset(), grid=None)) is None
    # A combination is missing in the first, one is more frequent in the second.
    assert controlled(labelled(FACTORS, sizes=(2, 1, 3))) is None
    assert controlled(labelled(np.zeros((6, 3), int), sizes=(2, 1, 3))) is None
    assert controlled(labelled(FACTORS, sizes=(10**6, 10**6, 10**6))) is None
    complete = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 1]])
    twice = labelled(np.concatenate([complete, complete[::-1]]), sizes=(2, 1, 2))
    found = controlled(twice)
    assert found is not None
    assert found.names == ("object", "light", "angle")
    assert found.varying == [0, 2]
    for copy in range(2):
        points = np.column_stack([complete, np.full(4, copy)])
        indices = found.indices(points)
        np.testing.assert_array_equal(twice.labels.factors[indices], complete)
        assert set(indices) == set(range(4 * copy, 4 * copy + 4))


def test_a_table_of_all_combinations_is_not_said_to_have_holes():
    complete = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 1]])
    dataset = labelled(np.concatenate([complete, complete]), sizes=(2, 1, 2))
    _, _, left_out = factors_lib.factor_source(read, dataset)
    assert left_out[0] == (
        "each of the 4 combinations of factor values occurs in 2 images of tiny, which "
        "differ in what has no label"
    )
    dataset = labelled(np.concatenate([complete, complete[:1]]), sizes=(2, 1, 2))
    _, _, left_out = factors_lib.factor_source(read, dataset)
    assert "4 of the 4 combinations of factor values occur, in 5 images" in left_out[0]


def test_of_very_many_images_a_random_part_is_encoded(monkeypatch):
    monkeypatch.setattr(factors_lib, "MOST_ROWS", 30)
    factors = np.random.default_rng(0).integers(0, 3, (1000, 3)).astype(np.int32)
    asked = []

    def remembering(indices):
        asked.extend(indices.tolist())
        return read(indices)

    source, _, left_out = factors_lib.factor_source(
        remembering, labelled(factors, sizes=(3, 3, 3))
    )
    assert len(set(asked)) == source.num_images == 30
    assert "30 random images of 1,000" in left_out[0]
    rows = source.codes(np.arange(30))[:, 0].astype(int)
    np.testing.assert_array_equal(source.factors(np.arange(30)), factors[rows])


def test_without_two_factors_that_vary_there_are_no_scores():
    bare = dataclasses.replace(tiny.dataset(), grid=None)
    with pytest.raises(NoScoresError, match="tiny has no ground-truth factors"):
        factors_lib.factor_source(read, bare)
    one = labelled(FACTORS * np.array([1, 0, 0], np.int32), sizes=(2, 4, 3))
    with pytest.raises(NoScoresError, match="has fewer than two factors that vary"):
        factors_lib.factor_source(read, one)
