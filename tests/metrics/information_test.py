import metrics_reference as reference
import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import mutual_info_score

from cfasl_jax.metrics.information import (
    bin_codes,
    entropy,
    mutual_information,
    neighbor_information,
)


def test_bins_agree_with_the_plain_loop_and_hold_their_edges():
    codes = reference.rng().normal(size=(200, 3))
    codes[:, 2] = 4.0
    binned = bin_codes(codes, 7)
    for d in range(3):
        expected = reference.histogram_bins(codes[:, d].tolist(), 7)
        assert len(set(binned[:, d])) == len(set(expected))
        assert mutual_info_score(binned[:, d], expected) == pytest.approx(
            reference.entropy(expected)
        )
    edges = bin_codes(np.array([[0.0], [1.0], [2.0], [3.0], [4.0]]), 4)
    assert edges[:, 0].tolist() == [0, 1, 2, 3, 3]


def test_entropy_of_counts():
    counts = np.array([[5, 5, 0, 0], [1, 1, 1, 1], [9, 0, 0, 0]])
    np.testing.assert_allclose(entropy(counts), [np.log(2), np.log(4), 0], atol=1e-12)


def test_plug_in_information_agrees_with_scikit_learn():
    random = reference.rng()
    binned = random.integers(0, 5, (300, 2))
    factors = np.stack([binned[:, 0] // 2, random.integers(0, 4, 300)], axis=1)
    matrix, entropies = mutual_information(binned, 5, factors, (3, 4))
    for k, factor in enumerate(factors.T):
        assert entropies[k] == pytest.approx(reference.entropy(factor.tolist()))
        for d in range(2):
            expected = mutual_info_score(binned[:, d], factor)
            assert matrix[d, k] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("neighbors", [1, 3, 10])
def test_neighbor_estimate_agrees_with_scikit_learn(neighbors):
    random = reference.rng()
    factor = random.integers(0, 5, 400)
    factor[0] = 9  # A value that occurs once is left out.
    code = factor + random.normal(size=400)
    # Free of ties, so that the jitter of the oracle changes nothing that counts.
    expected = mutual_info_classif(
        code[:, None], factor, discrete_features=False, n_neighbors=neighbors
    )
    found = neighbor_information(code, factor, neighbors)
    assert found == pytest.approx(expected[0], abs=1e-6)


def test_neighbor_estimate_of_a_code_that_tells_all_is_the_entropy():
    random = reference.rng()
    factor = np.repeat(np.arange(4), 100)
    code = factor + 1e-6 * random.normal(size=400)
    assert neighbor_information(code, factor, 3) == pytest.approx(np.log(4), abs=0.02)
    assert abs(neighbor_information(random.normal(size=400), factor, 3)) < 0.1
    assert neighbor_information(code[:3], np.arange(3), 3) == 0.0


def test_a_constant_up_to_rounding_falls_into_one_bin():
    codes = np.where(np.arange(8) % 2, 0.3, np.nextafter(0.3, 1))[:, None]
    assert not bin_codes(codes, 20).any()
