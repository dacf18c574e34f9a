"""Several devices train what one device trains."""

import os
import signal
import socket
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from cfasl_jax.errors import ConfigError
from cfasl_jax.objectives import OBJECTIVES
from cfasl_jax.settings import Ours
from cfasl_jax.training import devices
from cfasl_jax.training import state as state_lib

P, D, L = 4, 3, 2
ADAM = state_lib.optimizer(tiny.objective(), clip_norm=1.0)
IMAGE = (tiny.SIDE, tiny.SIDE, 1)


def norm(tree):
    return np.sqrt(sum(np.square(np.float64(x)).sum() for x in jax.tree.leaves(tree)))


def one_step(count, objective, seeds):
    """One step on the first `count` devices -> terms and state on the host."""
    used = jax.devices()[:count]
    seeds = jnp.array(seeds, jnp.uint32)
    state = jax.vmap(lambda s: state_lib.init(objective, ADAM, s, IMAGE))(seeds)
    state = jax.tree.map(precise, state)
    hyper = jax.tree.map(lambda x: precise(jnp.full(len(seeds), x)), tiny.hyper())
    chunk = devices.compile_chunk(objective, ADAM, P, 1, used)
    state, seeds, hyper = (devices.replicate(x, used) for x in (state, seeds, hyper))
    dataset = devices.share(tiny.dataset(), used)
    state, terms = chunk(state, dataset, seeds, hyper, None)
    for leaf in jax.tree.leaves(state):
        copies = np.asarray(leaf)
        assert all((copy == copies[0]).all() for copy in copies)
    return devices.unreplicate(terms), devices.unreplicate(state)


def precise(leaf):
    """float64 where that is switched on."""
    is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(jnp.float64) if is_float and jax.config.x64_enabled else leaf


def first_moment(state):
    """Adam's, of all networks that share one optimiser."""
    _, adam = state.opt_state.inner_states["networks"].inner_state
    return adam.mu


CASES = {
    "float32": (False, (1, 4), {}),
    "float64": (True, (1, 2, 4), {}),
    "near partners": (True, (1, 4), {"ours": Ours(near_partners=True)}),
} | {
    name: (True, (1, 2), {"base_name": name, "cfasl": False})
    for name in OBJECTIVES
    if name != "beta_vae"
}


@pytest.mark.parametrize(("exact", "counts", "options"), CASES.values(), ids=CASES)
def test_losses_and_gradients_are_those_of_one_device(exact, counts, options):
    """After one step of two runs, Adam's first moment is a tenth of the gradient."""
    objective = tiny.objective(D, L, **options)
    with jax.enable_x64(exact):
        steps = {n: one_step(n, objective, seeds=(5, 6)) for n in counts}
    steps = {n: (terms, first_moment(state)) for n, (terms, state) in steps.items()}
    # In float32 the gradient of -log cos^2 amplifies the rounding of a cosine near 0.
    tolerance = 1e-9 if exact else 1e-4
    expected_terms, expected = steps[1]
    chex.assert_shape(list(expected_terms.values()), (2, 1))
    for terms, gradient in (steps[count] for count in steps if count > 1):
        norms = (terms.pop("gradient_norm"), expected_terms["gradient_norm"])
        np.testing.assert_allclose(*norms, rtol=tolerance)
        losses = {name: expected_terms[name] for name in terms}
        chex.assert_trees_all_close(terms, losses, rtol=min(tolerance, 1e-5))
        for network in gradient:
            distance = jax.tree.map(np.subtract, gradient[network], expected[network])
            assert norm(distance) < tolerance * norm(gradient[network]), network
            assert norm(gradient[network]) > 1e-3


def test_replicated_trees_come_back_as_they_were():
    tree = {"a": np.arange(6.0).reshape(2, 3), "b": np.int32(7)}
    chex.assert_trees_all_equal(devices.unreplicate(devices.replicate(tree)), tree)


def test_shared_arrays_are_not_copied_where_they_are_already():
    images = tiny.dataset().store
    shared = devices.share(images)
    where = {part.device: part.data for part in shared.addressable_shards}
    assert list(where) == jax.local_devices()
    np.testing.assert_array_equal(where[jax.devices()[3]], images)
    mine = where[images.device]
    assert mine.unsafe_buffer_pointer() == images.unsafe_buffer_pointer()
    assert devices.share(()) == ()


@pytest.mark.parametrize("count", [1, 2])
def test_one_device_runs_no_collective(count):
    used = jax.devices()[:count]
    seeds = jnp.arange(2, dtype=jnp.uint32)
    objective = tiny.objective(D, L)
    state = jax.vmap(lambda s: state_lib.init(objective, ADAM, s, IMAGE))(seeds)
    hyper = jax.tree.map(lambda x: jnp.full(2, x), tiny.hyper())
    chunk = devices.compile_chunk(objective, ADAM, P, 1, used)
    state, seeds, hyper = (devices.replicate(x, used) for x in (state, seeds, hyper))
    jaxpr = str(jax.make_jaxpr(chunk)(state, tiny.dataset(), seeds, hyper, None))
    collectives = ("all_gather", "psum", "axis_index")
    assert [name in jaxpr for name in collectives] == [count > 1] * 3


def test_parts_are_placed_in_the_order_of_the_axis():
    used = jax.devices()[1:3]
    part = jax.pmap(lambda x: x + jax.lax.axis_index("data"), "data", devices=used)
    placed = devices.place(np.array([[10], [20]]), used)
    assert [shard.device for shard in placed.addressable_shards] == used
    np.testing.assert_array_equal(part(placed), [[10], [21]])
    count, places = devices.places()
    assert (count, places.tolist()) == (4, [0, 1, 2, 3])


def test_batch_must_be_divided_by_the_devices():
    devices.require_divisible(8)
    with pytest.raises(ConfigError, match=r"4 devices do not divide.*multiple of 8"):
        devices.require_divisible(12)


def test_flag_of_one_process():
    assert devices.any_process(True)
    assert not devices.any_process(False)


def test_half_named_processes_are_refused(monkeypatch):
    monkeypatch.setitem(os.environ, "JAX_COORDINATOR_ADDRESS", "localhost:1")
    monkeypatch.delenv("JAX_NUM_PROCESSES", raising=False)
    with pytest.raises(ConfigError, match="JAX_NUM_PROCESSES"):
        devices.join_processes(automatic=False)


def test_sigterm_still_ends_a_process_that_has_joined_others():
    """JAX would take the signal for itself, and the process would go on."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    alone = {"JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, signal, time\n"
            "from cfasl_jax.training import devices\n"
            "devices.join_processes(automatic=False)\n"
            "assert devices.has_joined()\n"
            "os.kill(os.getpid(), signal.SIGTERM)\n"
            "time.sleep(5)\n",
        ],
        env=os.environ | alone | {"JAX_COORDINATOR_ADDRESS": address},
        stderr=subprocess.PIPE,
        timeout=100,
    )
    assert ended.returncode == -signal.SIGTERM, ended.stderr


def test_alone_there_is_nothing_to_join(monkeypatch):
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    devices.join_processes(automatic=False)
    assert devices.is_first_process()
