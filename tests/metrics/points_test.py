import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from cfasl_jax.metrics import load_array
from cfasl_jax.metrics.points import (
    UnavailableError,
    active_mask,
    check_points,
    draw_points,
    over_factors,
    standardized,
)

CODES = np.arange(20.0).reshape(10, 2)
FACTORS = np.stack([np.arange(10) % 2, np.arange(10) // 2 * 7 - 3], axis=1)


def test_factor_values_are_relabelled_in_order():
    points = check_points(CODES.astype(np.float32), FACTORS)
    assert points.sizes == (2, 5)
    assert points.factors[:, 1].tolist() == (np.arange(10) // 2).tolist()
    assert points.codes.dtype == np.float64


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (CODES[:, 0], FACTORS, r"codes must have the shape \[N, D\], got \(10,\)"),
        (CODES, FACTORS[:, 0], r"factors must have the shape \[N, K\], got \(10,\)"),
        (CODES[:0], FACTORS[:0], r"shape \[N, D\], got \(0, 2\)"),
        (CODES[:9], FACTORS, "the same number of rows: 9 and 10"),
        (CODES.astype(complex), FACTORS, "real numbers, got complex128"),
        (CODES, FACTORS.astype(float), "factors must be integers, got float64"),
        (CODES, FACTORS[:, :1], "at least 2 factors are needed, got 1"),
        (np.where(CODES == 3, np.nan, CODES), FACTORS, "1 rows hold NaN or infinity"),
        (np.where(CODES == 3, -4e38, CODES), FACTORS, r"float32, .*largest is 4e\+38"),
        (
            CODES + np.array([0, 1e9]),
            FACTORS,
            "does not tell the values of dimension 1 apart",
        ),
        (CODES * 1e-46, FACTORS, "does not tell the values of dimension 0 apart"),
        (
            CODES,
            np.where([True, False], FACTORS, 4),
            r"factor 1 has only one value \(4\)",
        ),
    ],
)
def test_bad_arrays_get_one_clear_sentence(codes, factors, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_points(codes, factors)
    assert "\n" not in str(caught.value)


def test_rounding_of_what_hardly_varies_is_no_matter():
    codes = np.stack([CODES[:, 0], np.full(10, 0.1), 0.1 + 1e-12 * CODES[:, 1]], axis=1)
    np.testing.assert_array_equal(check_points(codes, FACTORS).codes, codes)


def test_codes_that_float32_just_holds_are_taken():
    largest = float(np.finfo(np.float32).max)
    assert (
        check_points(np.where(CODES == 3, largest, CODES), FACTORS).codes[1, 1] > 3e38
    )


def test_splits_are_disjoint_random_and_reproducible():
    def draw(*counts):
        return draw_points(CODES, FACTORS, counts, "a metric", np.random.default_rng(0))

    parts, again = draw(5, 3), draw(5, 3)
    rows = [part.codes[:, 0].tolist() for part in parts]
    assert list(map(len, rows)) == [5, 3]
    assert not set(rows[0]) & set(rows[1])
    assert rows == [part.codes[:, 0].tolist() for part in again]
    assert rows[0] != sorted(rows[0])
    with pytest.raises(ValueError, match="a metric needs 11 points, got 10"):
        draw(6, 5)


def test_a_training_part_of_one_value_is_refused():
    factors = np.stack([np.arange(10) == 0, np.arange(10) % 2], axis=1).astype(int)
    refused = 0
    for seed in range(10):
        random = np.random.default_rng(seed)
        try:
            part, _ = draw_points(CODES, factors, (5, 5), "a metric", random)
        except UnavailableError as error:
            refused += "drew only one value of factor 0" in str(error)
            continue
        assert np.ptp(part.factors, axis=0).all()
    assert 0 < refused < 10


def test_results_come_in_the_order_of_the_factors():
    assert over_factors(lambda k: 10 * k, (2, 9, 5, 7), jobs=2) == [0, 10, 20, 30]


def test_standardized_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    values, other = random.normal(2.0, 3.0, (30, 3)), random.normal(size=(9, 3))
    # A constant, which rounding does not leave at exactly its mean.
    values[:, 1] = other[:, 1] = 0.7
    expected = StandardScaler().fit(values).transform(other)
    np.testing.assert_allclose(standardized(other, values), expected, atol=1e-12)


def test_active_dimensions_by_standard_deviation_with_ddof_one():
    codes = np.array([[0.0, 0.0, 5.0], [0.08, 0.06, 5.0]])
    # Two points d apart have a standard deviation of d / sqrt(2): 0.0566, 0.0424, 0.
    assert active_mask(codes, 0.05).tolist() == [True, False, False]
    assert active_mask(codes, 0.0).tolist() == [True, True, False]


def test_arrays_are_loaded_or_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "codes.npy", CODES)
    np.testing.assert_array_equal(
        load_array(str(tmp_path / "codes.npy"), "codes"), CODES
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    np.testing.assert_array_equal(load_array("~/codes.npy", "codes"), CODES)
    with pytest.raises(ValueError, match="there is no file of codes at"):
        load_array(str(tmp_path / "other.npy"), "codes")
    (tmp_path / "text.npy").write_text("1, 2")
    with pytest.raises(ValueError, match=r"is not a \.npy file"):
        load_array(str(tmp_path / "text.npy"), "codes")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"is not a \.npy file of plain"):
        load_array(str(tmp_path / "objects.npy"), "codes")
    np.savez(tmp_path / "many.npz", CODES)
    with pytest.raises(ValueError, match="one array"):
        load_array(str(tmp_path / "many.npz"), "codes")
