"""Every objective trains on rendered dSprites, on two devices, and resumes bitwise."""

from itertools import cycle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from cfasl_jax.data import dsprites
from cfasl_jax.objectives import OBJECTIVES
from cfasl_jax.settings import Annealed
from cfasl_jax.training import devices, loop
from cfasl_jax.training import state as state_lib
from cfasl_jax.training.checkpoints import Checkpoints

PAIRS, STEPS, SEEDS = 4, 50, jnp.array([1], jnp.uint32)
# Every objective once, and all pairs of a choice of CFASL and a fidelity in turn.
CHOICES = (
    (False, "corrected"),
    (True, "official"),
    (True, "corrected"),
    (False, "official"),
)
CASES = [
    (name, *choice) for name, choice in zip(OBJECTIVES, cycle(CHOICES), strict=False)
]


@pytest.fixture(scope="module")
def images():
    """Some of rendered dSprites, drawn beforehand: the networks here are cheaper."""
    indices = np.random.default_rng(0).choice(dsprites.GRID.num_points, 500)
    drawn = jax.jit(dsprites.render)(dsprites.GRID.factors(jnp.asarray(indices)))
    return tiny.dataset(drawn)


@pytest.mark.parametrize(("name", "cfasl", "fidelity"), CASES)
def test_trains_and_resumes_bitwise(name, cfasl, fidelity, images, tmp_path):
    objective = tiny.family(name, cfasl, fidelity)
    used, adam = jax.devices()[:2], state_lib.optimizer(objective, clip_norm=1.0)
    slow = Annealed(gamma=1.5, steps=200)
    hyper = tiny.hyper(num_steps=200, annealed=slow, learning_rate=3e-3)
    hyper = jax.tree.map(lambda x: jnp.full(1, x), hyper)
    per_run = [devices.replicate(x, used) for x in (SEEDS, hyper)]
    fixed = [devices.share(images, used), *per_run]
    chunk = devices.compile_chunk(objective, adam, PAIRS, STEPS, used)

    def train(state, chunks):
        """Further chunks of steps, from and to a state on the host."""
        state, logged = devices.replicate(state, used), []
        for _ in range(chunks):
            state, terms = chunk(state, *fixed, None)
            logged.append(devices.unreplicate(terms))
            loop.require_finite(logged[-1], 0, (1,))
        return devices.unreplicate(state), logged

    shape = images.image_shape
    start = jax.vmap(lambda s: state_lib.init(objective, adam, s, shape))(SEEDS)
    halfway, first = train(start, 2)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        checkpoints.save(2 * STEPS, halfway)
    end, second = train(halfway, 2)
    reconstruction = [terms["reconstruction"].mean() for terms in first + second]
    assert reconstruction[-1] < 0.8 * reconstruction[0]
    moved = float(np.abs(end.controller.integral).max()) > 0
    assert moved == (name == "control_vae" and fidelity == "corrected")

    with Checkpoints(tmp_path, keep=1) as checkpoints:
        restored = checkpoints.restore(jax.tree.map(np.zeros_like, halfway))
    chex.assert_trees_all_equal(train(restored, 2), (end, second))
