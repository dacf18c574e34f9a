import dataclasses
import json

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY
from scipy import stats

from cfasl_jax.metrics import Grid, Samples, Table, chance
from cfasl_jax.metrics.chance import chance_floor

SIZES = (4, 5, 6)
FACTORS = reference.grid(SIZES)
SMALL = dataclasses.replace(TINY, mig_samples=100)


def refuse(factors):
    raise AssertionError("a floor does not depend on the codes")


def source():
    return Grid(refuse, SIZES)


def sampled():
    return Samples(source(), source(), reference.rng())


def test_floors_are_what_noise_scores(tmp_path):
    floor = chance_floor("z_diff", source(), 3, TINY, tmp_path)
    # One of three factors, by 3 times 60 points.
    assert floor["z_diff"] == pytest.approx(1 / 3, abs=0.12)
    m_fvm = chance_floor("m_fvm", source(), 3, TINY, tmp_path)
    assert m_fvm["m_fvm_2_held_out"] == pytest.approx(1 / 3, abs=0.2)
    assert m_fvm["m_fvm_2"] > 1 / 3


def test_floors_are_read_back_and_damaged_files_recomputed(tmp_path, monkeypatch):
    floor = chance_floor("mig", source(), 3, SMALL, tmp_path)
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text()) == floor
    path.write_text('{"mig": 0.25}')
    assert chance_floor("mig", source(), 3, SMALL, tmp_path) == {"mig": 0.25}
    path.write_text('{"mig": 0.2')
    assert chance_floor("mig", source(), 3, SMALL, tmp_path) == floor
    assert json.loads(path.read_text()) == floor
    monkeypatch.setattr(chance, "VERSION", chance.VERSION + 1)
    chance_floor("mig", source(), 3, SMALL, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_floors_are_kept_apart_by_all_that_they_depend_on(tmp_path):
    shuffled = FACTORS[reference.rng().permutation(len(FACTORS))]
    for floor_source, dims, protocol in [
        (source(), 3, SMALL),
        (source(), 4, SMALL),
        (Grid(refuse, (4, 6, 5)), 3, SMALL),
        (source(), 3, dataclasses.replace(SMALL, mig_bins=9)),
        (Table(reference.noise(FACTORS), FACTORS), 3, SMALL),
        (Table(reference.noise(FACTORS), shuffled), 3, SMALL),
        (sampled(), 3, SMALL),
    ]:
        chance_floor("mig", floor_source, dims, protocol, tmp_path)
    assert len(list(tmp_path.iterdir())) == 7


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    floor = chance_floor("mig", source(), 3, SMALL, tmp_path / "file")
    assert floor == chance_floor("mig", source(), 3, SMALL, tmp_path)


@pytest.mark.parametrize("drawn_anew", [False, True])
def test_an_image_has_one_code_of_noise_unless_codes_are_samples(
    drawn_anew, monkeypatch
):
    seen = []

    def spy(name, drawn, pool, *rest):
        seen.append(drawn.codes(np.array([7, 3, 7, 100])))
        seen.append(drawn.codes(np.array([7, 3, 7, 100])))
        return {"scores": ["mig"], "mig": 0.0}

    monkeypatch.setattr(chance, "compute", spy)
    protocol = dataclasses.replace(SMALL, chance_repeats=2)
    images = sampled() if drawn_anew else source()
    chance._compute_floor("mig", images, 3, protocol, 1)
    first, second, other, _ = seen
    assert (first[0] != first[2]).all() == drawn_anew
    assert (first != second).all() == drawn_anew
    assert not np.any(first == other)  # Each repeat has its own noise.
    assert first.shape == (4, 3)


def test_fresh_noise_is_standard_normal():
    ids = np.full(20_000, 5)
    codes = chance._noise(sampled(), reference.rng(), 2).codes(ids)
    for column in codes.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(codes.T)[0, 1]) < 4.5 / np.sqrt(20_000)


def test_noise_is_standard_normal_and_independent_between_images_and_dimensions():
    codes = chance.Noise(reference.rng(), 3)(np.arange(20_000))
    for column in codes.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    neighbours = np.concatenate([codes[:-1], codes[1:]], axis=1)
    correlation = np.corrcoef(neighbours.T) - np.eye(6)
    # 15 pairs, of a standard deviation of 1/sqrt(20000) each.
    assert np.abs(correlation).max() < 4.5 / np.sqrt(20_000)


def test_noise_of_an_image_stays_whatever_is_asked_for_in_between():
    noise = chance.Noise(reference.rng(), 4)
    first = noise(np.array([737_279, 0, 2**61, 0]))
    np.testing.assert_array_equal(first[1], first[3])
    assert len(np.unique(first)) == 3 * 4
    np.testing.assert_array_equal(noise(np.array([5, 2**61, 0]))[1:], first[[2, 1]])
