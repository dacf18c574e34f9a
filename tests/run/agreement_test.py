"""UDR among runs that are alike, and the file of codes that it is computed from."""

import errno
import resource

import metrics_reference as reference
import numpy as np
import pytest

from cfasl_jax.errors import ConfigError
from cfasl_jax.run import agreement


def test_only_runs_that_are_alike_are_compared():
    random = reference.rng()
    codes = [random.normal(size=(200, 3)) for _ in range(5)]
    codes[2] = -codes[0][:, [1, 2, 0]]  # agrees with the first one but for its order
    lost = np.full((200, 3), np.nan)
    alike = ["beta 1", "beta 4", "beta 1", "beta 4", "beta 6", "beta 4"]
    every = [np.ones(3, bool)] * 6
    found = agreement.udr_of(alike, [*codes, lost], every)
    for first, second in ((0, 2), (1, 3)):
        expected = reference.udr_of_pair(codes[first], codes[second])
        assert found[first] == found[second] == pytest.approx(expected)
    assert found[4:] == [None, None]
    inactive = [np.zeros(3, bool)] * 6
    assert agreement.udr_of(alike, [*codes, lost], inactive)[:2] == [0.0, 0.0]


def test_codes_are_stored_as_they_are(tmp_path):
    assert agreement.stored(tmp_path) is None
    codes = np.float32(reference.rng().normal(size=(2, 5, 3)))
    agreement.store(tmp_path / "new" / "folder", codes)
    np.testing.assert_array_equal(agreement.stored(tmp_path / "new" / "folder"), codes)


def test_a_disk_that_fills_up_is_named(tmp_path):
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, usual[1]))
    try:
        with pytest.raises(OSError, match=r"codes\.npy") as raised:
            agreement.store(tmp_path, np.zeros((2, 5_000, 3)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert raised.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"nothing", b"cut"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / agreement.CODES_FILE
    agreement.store(tmp_path, np.zeros((2, 5, 3)))
    path.write_bytes(path.read_bytes()[:-9] if content == b"cut" else content)
    with pytest.raises(ConfigError, match=r"codes\.npy is damaged.*--mode=evaluate"):
        agreement.stored(tmp_path)


def test_an_array_of_something_else_is_named(tmp_path):
    np.save(tmp_path / agreement.CODES_FILE, np.zeros((5, 3)))
    with pytest.raises(ConfigError, match=r"it holds an array \[5, 3\]"):
        agreement.stored(tmp_path)
