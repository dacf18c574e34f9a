"""A batch shared out over devices is put together in its own order."""

import functools

import jax
import numpy as np
import pytest

from cfasl_jax.losses import batch
from cfasl_jax.training import step as step_lib

PAIRS, D = 4, 3
X = np.random.default_rng(0).normal(size=(2 * PAIRS, D)).astype(np.float32)


def parts(x, count):
    """What each of several devices holds, [devices, b, ...]."""
    return np.stack(
        [x[step_lib.shard(PAIRS, count, device).sample] for device in range(count)]
    )


@pytest.mark.parametrize("count", [1, 2, 4])
def test_whole_is_the_global_batch_on_every_device(count):
    whole = jax.pmap(functools.partial(batch.whole, axis_name="data"), "data")
    for copy in np.asarray(whole(parts(X, count))):
        np.testing.assert_array_equal(copy, X)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_own_takes_each_devices_part(count):
    own = jax.pmap(functools.partial(batch.own, axis_name="data"), "data")
    np.testing.assert_array_equal(own(np.stack([X] * count)), parts(X, count))


def test_one_device_has_everything():
    np.testing.assert_array_equal(batch.whole(X, None), X)
    np.testing.assert_array_equal(batch.own(X, None), X)
