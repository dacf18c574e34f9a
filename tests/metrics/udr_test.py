import metrics_reference as reference
import numpy as np
import pytest

from cfasl_jax.metrics import udr


def runs():
    """Two runs that agree up to order, sign and scale, and one that is noise."""
    random = reference.rng()
    first = random.normal(size=(2000, 3))
    second = -2.0 * first[:, [2, 0, 1]] + 0.1 * random.normal(size=(2000, 3))
    return [first, second, random.normal(size=(2000, 4))]


def test_agrees_with_the_plain_loop():
    codes = runs()
    pairs = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            if i != j:
                pairs[i, j] = reference.udr_of_pair(codes[i], codes[j])
    found = udr(codes)
    np.testing.assert_allclose(found["pairs"], pairs, atol=1e-9)
    expected = [np.median([pairs[i, j] for j in range(3) if j != i]) for i in range(3)]
    np.testing.assert_allclose(found["udr"], expected, atol=1e-9)


def test_runs_that_agree_up_to_order_and_sign_score_one():
    # Exactly uncorrelated ranks: every column runs through all values of the others.
    first = reference.grid((3, 4, 5)).astype(float)
    assert udr([first, -first[:, [2, 0, 1]]])["udr"] == pytest.approx([1.0, 1.0])


def test_the_run_that_agrees_with_none_comes_last():
    first, second, noise = runs()
    scores = udr([first, second, first, noise])["udr"]
    assert min(scores[:3]) > 0.8
    assert scores[3] < 0.1


def test_uninformative_dimensions_do_not_count():
    first, second, noise = runs()
    padded = np.concatenate([first, noise], axis=1)
    informative = [np.arange(7) < 3, np.ones(3, bool)]
    assert udr([padded, second], informative) == udr([first, second])
    nothing = [np.zeros(7, bool), np.ones(3, bool)]
    assert udr([padded, second], nothing)["udr"] == [0.0, 0.0]
    constant = np.concatenate([first, np.full((2000, 1), 0.7)], axis=1)
    assert udr([constant, second]) == udr([first, second])


def test_one_run_and_other_images_are_refused():
    with pytest.raises(ValueError, match="at least 2 are needed, got 1"):
        udr([np.zeros((5, 2))])
    with pytest.raises(ValueError, match=r"same images: got \[5, 6\]"):
        udr([np.zeros((5, 2)), np.zeros((6, 2))])
