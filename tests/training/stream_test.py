"""A streamed data set trains, bit by bit, what the same images on the device train."""

import threading

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from cfasl_jax import objectives
from cfasl_jax.data.storage import MappedImages
from cfasl_jax.training import devices, loop, record, stream
from cfasl_jax.training import state as state_lib

SEEDS = (1, 2)


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setattr(objectives, "build", lambda *_: tiny.objective(cfasl=False))


@pytest.fixture
def streamed(tmp_path):
    """The tests' data set with its images in a memory-mapped file."""
    dataset = tiny.streamed(tmp_path / "images.npy")
    assert dataset.streamed
    return dataset


@pytest.fixture
def small_blocks(monkeypatch):
    """A step's images are 2 runs x 8 samples x 36 bytes: two steps a block."""
    monkeypatch.setattr(stream, "BLOCK_BYTES", 2 * (2 * 8 * 36))


@pytest.mark.usefixtures("small_blocks")
def test_streamed_runs_are_resident_runs_also_when_resumed(tmp_path, streamed):
    resident, parts = tmp_path / "resident", tmp_path / "parts"
    options = {"seeds": SEEDS, "log_every": 4}
    config = tiny.config(num_steps=8, **options)
    expected = loop.train(config, tiny.dataset(), resident)
    for num_steps in (4, 8):
        config = tiny.config(num_steps=num_steps, **options)
        got = loop.train(config, streamed, parts)
    chex.assert_trees_all_equal(got, expected)
    lines = [(path / record.METRICS_FILE).read_text() for path in (parts, resident)]
    assert lines[0] == lines[1]
    assert not [t for t in threading.enumerate() if t.name.startswith("images")]


@pytest.mark.parametrize("count", [1, 2])
def test_any_number_of_devices_gets_the_images_that_it_draws(streamed, count):
    used, steps, config = jax.devices()[:count], 3, tiny.config(seeds=SEEDS)
    objective = tiny.objective(cfasl=False)
    adam = state_lib.optimizer(objective, 1.0)
    shape = (tiny.SIDE, tiny.SIDE, 1)
    seeds = jnp.array(SEEDS, jnp.uint32)
    state = jax.vmap(lambda s: state_lib.init(objective, adam, s, shape))(seeds)
    hyper = jax.tree.map(lambda x: jnp.full(2, x), tiny.hyper())
    chunk = devices.compile_chunk(objective, adam, config.num_pairs, steps, used)

    def run(dataset, images=None):
        first, *others = (devices.replicate(x, used) for x in (state, seeds, hyper))
        return chunk(first, devices.share(dataset, used), *others, images)

    drawn = stream.draw_indices(config, objective, 20, 0, steps, used)
    chex.assert_shape(drawn, (count, 2, steps, 8 // count))
    images = devices.place(streamed.host_images(drawn), used)
    chex.assert_trees_all_equal(run(streamed, images), run(tiny.dataset()))


def test_blocks_are_nearly_equal_and_bounded():
    assert stream.blocks(500, 1) == [500]
    assert stream.blocks(10, stream.BLOCK_BYTES // 4) == [4, 3, 3]
    assert stream.blocks(3, 5 * stream.BLOCK_BYTES) == [1, 1, 1]
    for size in (10**5, 10**6, 10**7):
        lengths = stream.blocks(500, size)
        assert sum(lengths) == 500
        assert max(lengths) * size <= stream.BLOCK_BYTES
        assert len(set(lengths)) <= 2


@pytest.mark.usefixtures("small_blocks")
def test_an_unreadable_file_stops_the_run_and_its_thread(
    tmp_path, streamed, monkeypatch
):
    reads = []

    def read(self, indices):
        reads.append(indices)
        if len(reads) > 2:
            raise OSError("the disk is gone")
        return np.zeros((*indices.shape, tiny.SIDE, tiny.SIDE, 1), np.uint8)

    monkeypatch.setattr(MappedImages, "read", read)
    config = tiny.config(seeds=SEEDS, num_steps=400)
    with pytest.raises(OSError, match="the disk is gone"):
        loop.train(config, streamed, tmp_path)
    # It was read ahead of the steps, but not by more than a few blocks.
    assert 3 <= len(reads) <= 6
    assert not [t for t in threading.enumerate() if t.name.startswith("images")]
