import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY
from sklearn.metrics import mutual_info_score as sklearn_score

from cfasl_jax.metrics.mutual_info_score import mutual_info_score
from cfasl_jax.metrics.points import UnavailableError

FACTORS = reference.grid((4, 4, 4, 4))


def score(codes):
    return mutual_info_score(codes, None, TINY, reference.rng())["mutual_info_score"]


def test_agrees_with_scikit_learn():
    codes = reference.mixed(FACTORS)
    binned = [reference.histogram_bins(column.tolist(), 10) for column in codes.T]
    pairs = [
        sklearn_score(binned[a], binned[b])
        for a in range(5)
        for b in range(5)
        if a != b
    ]
    assert score(codes) == pytest.approx(np.mean(pairs))


def test_independent_dimensions_score_zero_and_copies_their_entropy():
    codes = reference.perfect(FACTORS)
    assert score(codes) == pytest.approx(0.0, abs=1e-12)
    assert score(np.tile(codes[:, :1], 2)) == pytest.approx(np.log(4))


def test_one_dimension_is_refused():
    with pytest.raises(UnavailableError, match="two dimensions, got codes of 1"):
        score(np.zeros((20, 1)))
