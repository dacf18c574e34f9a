import dataclasses
import json
import pathlib

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY

from cfasl_jax.metrics import Grid, Table, chance
from cfasl_jax.metrics.chance import chance_floor, default_cache_dir, noise

SIZES = (4, 5, 6)
FACTORS = reference.grid(SIZES)
SMALL = dataclasses.replace(TINY, mig_samples=100)


def refuse(factors):
    raise AssertionError("a floor does not depend on the codes")


def source():
    return Grid(refuse, SIZES)


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
    monkeypatch.setattr(chance, "_code_version", lambda: "another")
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
    ]:
        chance_floor("mig", floor_source, dims, protocol, tmp_path)
    assert len(list(tmp_path.iterdir())) == 6


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    floor = chance_floor("mig", source(), 3, SMALL, tmp_path / "file")
    assert 0 <= floor["mig"] < 0.3


def test_noise_is_one_code_an_image_for_means_and_fresh_for_samples():
    ids = np.array([5, 5, 9])
    means = noise(source(), 2, TINY, reference.rng()).codes(ids)
    np.testing.assert_array_equal(means[0], means[1])
    assert not np.array_equal(means[0], means[2])
    sampling = dataclasses.replace(TINY, codes="sample")
    samples = noise(source(), 2, sampling, reference.rng()).codes(ids)
    assert not np.array_equal(samples[0], samples[1])


def test_the_cache_is_where_the_user_says(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == pathlib.Path("/somewhere/cfasl_jax/chance")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == pathlib.Path.home() / ".cache/cfasl_jax/chance"
