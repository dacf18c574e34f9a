import dataclasses

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY
from sklearn.linear_model import LogisticRegression

from cfasl_jax.metrics import Table, z_diff

SIZES = (4, 5, 6)
FACTORS = reference.grid(SIZES)


def score(codes, protocol=TINY):
    encode = reference.lookup(codes, SIZES)
    return z_diff(encode, SIZES, protocol, reference.rng())


@pytest.mark.parametrize("case", [reference.perfect, reference.duplicated])
def test_perfect_and_duplicated_codes_score_one(case):
    assert score(case(FACTORS))["z_diff"] == 1.0


def test_constant_codes_score_the_share_of_one_factor():
    result = score(reference.constant(FACTORS))
    # Always the most frequent label of the training points.
    assert result["z_diff_train"] == pytest.approx(1 / 3, abs=0.12)
    assert result["z_diff"] == pytest.approx(1 / 3, abs=0.15)
    assert result["active_dims"] == 0


def test_noise_scores_near_chance_and_a_rotation_above():
    assert score(reference.noise(FACTORS))["z_diff"] < 0.55
    assert score(reference.rotated(FACTORS))["z_diff"] > 0.8


def test_agrees_with_the_plain_loop():
    # Noisy enough for errors: 5 dimensions, of different scales.
    codes = reference.mixed(FACTORS) + reference.rng(8).normal(size=(len(FACTORS), 5))
    encode = reference.lookup(codes, SIZES)
    spy = reference.Spy(encode)
    result = z_diff(spy, SIZES, TINY, reference.rng())
    (asked,) = spy.calls
    batch = TINY.z_diff_batch
    points, labels = [], []
    for start in range(0, len(asked), 2 * batch):
        first = asked[start : start + batch]
        second = asked[start + batch : start + 2 * batch]
        (label,) = [k for k in range(3) if np.all(first[:, k] == second[:, k])]
        total = np.zeros(codes.shape[1])
        for a, b in zip(first, second, strict=True):
            total += np.abs(encode(a[None])[0] - encode(b[None])[0])
        points.append(total / batch)
        labels.append(label)
    points, labels = np.array(points), np.array(labels)
    train = TINY.z_diff_train
    model = LogisticRegression(max_iter=100).fit(points[:train], labels[:train])
    assert result["z_diff"] == model.score(points[train:], labels[train:]) < 1
    assert result["z_diff_train"] == model.score(points[:train], labels[:train])
    of_each = [np.flatnonzero(labels[train:] == k) + train for k in range(3)]
    expected = [model.score(points[rows], labels[rows]) for rows in of_each]
    assert result["by_factor"]["z_diff"] == expected


def test_each_pair_has_its_own_shared_value():
    spy = reference.Spy(reference.lookup(reference.perfect(FACTORS), SIZES))
    z_diff(spy, SIZES, TINY, reference.rng())
    first = spy.calls[0][: TINY.z_diff_batch]
    assert all(len(np.unique(first[:, k])) > 1 for k in range(3))


def test_pairs_can_be_confined_to_few_images():
    protocol = dataclasses.replace(TINY, z_diff_images=60)
    spy = reference.Spy(reference.lookup(reference.perfect(FACTORS), SIZES))
    result = z_diff(spy, SIZES, protocol, reference.rng())
    (asked,) = spy.calls
    assert len(asked) == len(np.unique(asked, axis=0)) == 60
    assert result["z_diff"] == 1.0


def test_a_table_of_the_whole_grid_scores_like_the_grid():
    codes = reference.mixed(FACTORS)
    table = Table(codes, FACTORS)
    stored = z_diff(table, SIZES, TINY, reference.rng())["z_diff"]
    assert stored == pytest.approx(score(codes)["z_diff"], abs=0.15)


def test_the_interval_is_of_the_test_points():
    low, high = score(reference.noise(FACTORS))["intervals"]["z_diff"]
    # 60 hits or misses: a half-width of about 1.96 sqrt(p (1 - p) / 60).
    assert 0.1 < high - low < 0.35


def test_refuses_training_points_of_one_factor():
    with pytest.raises(ValueError, match="at least 2 factors, got 1 of one"):
        score(reference.perfect(FACTORS), dataclasses.replace(TINY, z_diff_train=1))
