import metrics_reference as reference
import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from cfasl_jax.metrics.boosting import _Forest, boost


def data(n, labels, seed=0, noise=0.5):
    """Codes that know a label in part, each dimension less than the one before."""
    random = reference.rng(seed)
    y = random.integers(0, labels, n)
    known = y[:, None] / labels * [1.0, 0.5, 0.25, 0.0]
    return known + noise * random.normal(size=(n, 4)), y


@pytest.mark.parametrize(("labels", "trees"), [(2, 5), (3, 5), (7, 1)])
def test_exact_is_scikit_learns_where_no_two_splits_are_equally_good(labels, trees):
    codes, y = data(2000, labels, noise=1.0)
    test, _ = data(400, labels, seed=1, noise=1.0)
    model = GradientBoostingClassifier(n_estimators=trees, random_state=0)
    model.fit(codes, y)
    found = boost(codes, y, test, trees, reference.rng())
    np.testing.assert_allclose(found.importance, model.feature_importances_, atol=1e-10)
    np.testing.assert_array_equal(found.train, model.predict(codes))
    np.testing.assert_array_equal(found.test, model.predict(test))


def test_exact_is_scikit_learns_on_codes_of_few_values_and_any_labels():
    codes, y = data(1500, 3)
    codes = np.round(codes, 1)
    labels = np.array([4, -1, 10])[y]
    test = np.round(data(300, 3, seed=1)[0], 2)
    model = GradientBoostingClassifier(n_estimators=3, random_state=0)
    model.fit(codes, labels)
    found = boost(codes, labels, test, 3, reference.rng())
    np.testing.assert_allclose(found.importance, model.feature_importances_, atol=1e-10)
    np.testing.assert_array_equal(found.train, model.predict(codes))
    np.testing.assert_array_equal(found.test, model.predict(test))


@pytest.mark.parametrize("decimals", [0, 3])
@pytest.mark.parametrize("two_valued", [False, True])
def test_a_split_is_the_best_of_all_by_the_plain_loop(decimals, two_valued):
    random = reference.rng()
    for count in (2, 3, 9, 40):
        codes = np.round(random.normal(size=(50, 3)), decimals)
        residual = random.normal(size=50)
        if two_valued:
            residual = np.where(residual > 0, 0.9, -0.1)
        rows = random.permutation(50)[:count]
        order = np.stack([rows[np.argsort(column)] for column in codes[rows].T])
        forest = _Forest.of(codes, codes, random)
        found = forest._best_split(residual, order)
        gains = {}
        for d in range(3):
            for low in sorted(set(codes[rows, d].tolist()))[:-1]:
                below = codes[rows, d] <= low
                parts = (residual[rows], residual[rows][below], residual[rows][~below])
                whole, *halves = (((p - p.mean()) ** 2).sum() for p in parts)
                gains[d, low] = whole - sum(halves)
        if found is None:
            assert not gains or np.ptp(residual[rows]) == 0
            continue
        d, number, threshold, gain = found
        low = codes[rows, d][codes[rows, d] <= threshold].max()
        assert number == np.sum(codes[rows, d] <= threshold)
        assert gain == pytest.approx(gains[d, low], abs=1e-12)
        assert gain == pytest.approx(max(gains.values()), abs=1e-12)


def test_exact_is_as_near_to_scikit_learn_as_that_is_to_itself():
    # Few points and many stages: small nodes, which several dimensions split equally.
    codes, y = data(150, 6)
    ours, theirs = [], []
    for seed in range(8):
        found = boost(codes, y, codes[:1], 5, reference.rng(seed))
        ours.append(found.importance)
        model = GradientBoostingClassifier(n_estimators=5, random_state=seed)
        theirs.append(model.fit(codes, y).feature_importances_)
    assert np.ptp(ours, axis=0).max() > 1e-6
    assert np.abs(np.mean(ours, axis=0) - np.mean(theirs, axis=0)).max() < 0.02


def test_copies_of_a_dimension_share_its_importance_by_chance():
    codes, y = data(300, 3)
    twice = np.concatenate([codes[:, :1]] * 2, axis=1)
    shares = [
        boost(twice, y, twice[:1], 4, reference.rng(seed)).importance
        for seed in range(10)
    ]
    assert 0.3 < np.mean(shares, axis=0)[0] < 0.7
    assert np.min(shares) > 0


def test_constant_codes_have_no_importance_and_predict_the_most_frequent():
    codes, y = np.full((90, 2), 0.7), np.repeat([0, 1, 2], [20, 50, 20])
    found = boost(codes, y, codes[:5], 3, reference.rng())
    assert found.importance.tolist() == [0.0, 0.0]
    assert set(found.train) == set(found.test) == {1}


@pytest.mark.parametrize("labels", [2, 5])
def test_finds_the_dimension_that_tells_the_label(labels):
    random = reference.rng()
    y = random.integers(0, labels, 600)
    codes = random.normal(size=(600, 3))
    codes[:, 1] = y + 0.05 * codes[:, 1]
    found = boost(codes[:500], y[:500], codes[500:], 8, reference.rng())
    np.testing.assert_allclose(found.importance, [0, 1, 0], atol=0.03)
    assert np.mean(found.test == y[500:]) > 0.95
