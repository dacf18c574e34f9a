"""One step: its draws, its update, many of them, and runs trained together."""

import collections
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from cfasl_jax import config as config_lib
from cfasl_jax import data, objectives
from cfasl_jax.objectives import Noise
from cfasl_jax.training import state as state_lib
from cfasl_jax.training import step as step_lib
from configs import dsprites

P, D, L = 4, 3, 2
OBJECTIVE = tiny.objective(D, L)
ADAM = state_lib.optimizer(tiny.objective(), clip_norm=1.0)
IMAGE = (tiny.SIDE, tiny.SIDE, 1)
WHOLE = step_lib.shard(P, 1, 0)


def initial(seed=0):
    return state_lib.init(OBJECTIVE, ADAM, jnp.uint32(seed), IMAGE)


@jax.jit
def steps(state, seed, hyper):
    return step_lib.train_steps(
        OBJECTIVE, ADAM, 2, state, tiny.dataset(), seed, hyper, WHOLE
    )


def test_shards_share_out_whole_pairs():
    parts = [step_lib.shard(6, 3, device) for device in range(3)]
    np.testing.assert_array_equal(np.concatenate([p.pair for p in parts]), range(6))
    for part in parts:
        first, second = np.split(np.asarray(part.sample), 2)
        np.testing.assert_array_equal(first, part.pair)
        np.testing.assert_array_equal(second, part.pair + 6)


def test_draws_do_not_depend_on_the_number_of_devices():
    key = jax.random.key(3)
    whole = step_lib.draw(key, OBJECTIVE, 1000, WHOLE)
    for device in range(2):
        part = step_lib.shard(P, 2, device)
        drawn = step_lib.draw(key, OBJECTIVE, 1000, part)
        np.testing.assert_array_equal(drawn.indices, whole.indices[part.sample])
        np.testing.assert_array_equal(drawn.noise.eps, whole.noise.eps[part.sample])
        np.testing.assert_array_equal(drawn.noise.gumbel, whole.noise.gumbel[part.pair])
        np.testing.assert_array_equal(drawn.noise.element, whole.noise.element)


def test_draws_do_not_depend_on_how_many_steps_draw_together():
    keys = jax.random.split(jax.random.key(4), 5)

    def draw(key):
        return step_lib.draw(key, OBJECTIVE, 1000, WHOLE)

    alone = [jax.jit(draw)(key) for key in keys]
    together = jax.jit(jax.vmap(draw))(keys)
    chex.assert_trees_all_equal(together, jax.tree.map(lambda *x: np.stack(x), *alone))


def test_draws_have_their_distributions():
    part = step_lib.shard(2000, 1, 0)
    indices, noise = step_lib.draw(jax.random.key(0), OBJECTIVE, 20, part)
    counts = np.bincount(indices, minlength=20)
    assert counts.size == 20
    np.testing.assert_allclose(counts, 200, atol=70)
    np.testing.assert_allclose(noise.eps.mean(), 0, atol=0.03)
    np.testing.assert_allclose(noise.eps.std(), 1, atol=0.03)
    np.testing.assert_allclose(noise.gumbel.mean(), np.euler_gamma, atol=0.05)
    np.testing.assert_allclose(noise.gumbel.std(), np.pi / np.sqrt(6), atol=0.05)
    elements = [
        step_lib.draw(jax.random.key(k), OBJECTIVE, 20, WHOLE).noise.element
        for k in range(20)
    ]
    assert set(np.ravel(elements)) == set(range(L))


@pytest.mark.parametrize("base", ["beta_vae", "factor_vae"])
def test_update_is_adam_on_the_clipped_gradient(base):
    """Two steps against Kingma & Ba's algorithm written out in float64."""
    objective, hyper = tiny.objective(D, L, base_name=base), tiny.hyper()
    adam = state_lib.optimizer(objective, clip_norm=1.0)
    state = state_lib.init(objective, adam, jnp.uint32(0), IMAGE)
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(2 * P, *IMAGE)).astype(np.float32)
    noise = Noise(
        eps=rng.normal(size=(2 * P, D)).astype(np.float32),
        gumbel=rng.gumbel(size=(P, D, 2)).astype(np.float32),
        element=np.zeros(D, int),
        coin=np.float32(0.9),
        permutation=np.zeros((2 * P, D), int),
    )
    gradient = jax.jit(jax.grad(lambda p: objective.loss(p, images, noise, hyper)[0]))
    step = jax.jit(
        lambda s: step_lib.train_step(objective, adam, s, images, noise, hyper)
    )
    flat, tree = jax.tree_util.tree_flatten_with_path(state.params)
    paths = [jax.tree_util.keystr(path) for path, _ in flat]
    values = [np.float64(leaf) for _, leaf in flat]
    m, v = [0.0] * len(values), [0.0] * len(values)
    for t in (1, 2):
        now = jax.tree.unflatten(tree, [np.float32(x) for x in values])
        g = [np.float64(leaf) for leaf in jax.tree.leaves(gradient(now))]
        squares = [np.sum(x**2) for x in g]
        of_networks = [
            square
            for path, square in zip(paths, squares, strict=True)
            if "['discriminator']" not in path
        ]
        norm = np.sqrt(sum(of_networks))
        assert norm > 1.0  # or nothing would be clipped
        for i, x in enumerate(g):
            b1, b2, rate = 0.9, 0.999, 1e-2
            if "['codebook']['heads']" in paths[i]:
                rate = 1e-3
            if "['discriminator']" in paths[i]:
                b1, b2, rate = 0.5, 0.9, 5e-3
            else:
                x = x / norm
            m[i] = b1 * m[i] + (1 - b1) * x
            v[i] = b2 * v[i] + (1 - b2) * x**2
            direction = (m[i] / (1 - b1**t)) / (np.sqrt(v[i] / (1 - b2**t)) + 1e-8)
            values[i] = values[i] - rate * direction
        state, terms = step(state)
        whole = np.sqrt(sum(squares))
        np.testing.assert_allclose(terms["gradient_norm"], whole, rtol=1e-4)
    got = [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]
    for path, x, expected in zip(paths, got, values, strict=True):
        np.testing.assert_allclose(x, expected, atol=2e-5, err_msg=path)


def test_terms_are_logged_with_their_total():
    _, terms = steps(initial(), jnp.uint32(0), tiny.hyper())
    chex.assert_shape(list(terms.values()), (2,))
    assert {"loss", "reconstruction", "kl", "parallel"} <= set(terms)


def test_two_seeds_together_are_each_alone():
    seeds = jnp.array([3, 8], jnp.uint32)
    together = jax.vmap(lambda s: state_lib.init(OBJECTIVE, ADAM, s, IMAGE))(seeds)
    hyper = jax.tree.map(lambda x: jnp.full(2, x), tiny.hyper())
    state, terms = jax.jit(jax.vmap(steps))(together, seeds, hyper)
    for run, seed in enumerate((3, 8)):
        alone_state, alone_terms = steps(initial(seed), jnp.uint32(seed), tiny.hyper())
        mine, own = jax.tree.map(lambda x, r=run: x[r], (state.params, terms))
        # Near orthogonality the parallel loss turns rounding into gradient.
        norms = (each.pop("gradient_norm") for each in (own, alone_terms))
        np.testing.assert_allclose(*norms, rtol=5e-3)
        chex.assert_trees_all_close(
            (mine, own), (alone_state.params, alone_terms), rtol=1e-5, atol=1e-5
        )
    assert not np.allclose(terms["loss"][0], terms["loss"][1])


def test_settings_trained_together_keep_their_own_hyperparameters():
    seeds = jnp.array([3, 3], jnp.uint32)
    states = jax.vmap(lambda s: state_lib.init(OBJECTIVE, ADAM, s, IMAGE))(seeds)
    hyper = jax.tree.map(lambda x: jnp.full(2, x), tiny.hyper())
    hyper = tiny.replace(hyper, beta=jnp.array([0.0, 5.0]))
    _, terms = jax.jit(jax.vmap(steps))(states, seeds, hyper)
    np.testing.assert_allclose(terms["kl"][0, 0], terms["kl"][1, 0], rtol=1e-5)
    difference = terms["loss"][1, 0] - terms["loss"][0, 0]
    np.testing.assert_allclose(difference, 5 * terms["kl"][0, 0], rtol=1e-3)


def test_a_step_draws_by_its_number_not_by_the_call():
    """Two steps at once are one step and then one more, up to rounding."""

    @jax.jit
    def one(state):
        return step_lib.train_steps(
            OBJECTIVE,
            ADAM,
            1,
            state,
            tiny.dataset(),
            jnp.uint32(0),
            tiny.hyper(),
            WHOLE,
        )

    middle, _ = one(initial())
    last, _ = one(middle)
    expected, _ = steps(initial(), jnp.uint32(0), tiny.hyper())
    chex.assert_trees_all_close(last.params, expected.params, rtol=1e-6, atol=1e-7)
    assert int(last.step) == 2


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_initial_state_is_a_function_of_the_seed(seed):
    chex.assert_trees_all_equal(initial(seed).params, initial(seed).params)
    other = initial(seed - 1 if seed else 1)
    kernels = [s.params["encoder"]["Dense_0"]["kernel"] for s in (initial(seed), other)]
    assert not np.allclose(*kernels)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_ten_runs_on_an_accelerator_are_matrix_products_in_one_loop(
    platform, monkeypatch, tmp_path
):
    """The lowered program of the real networks holds nothing that is slow there.

    Ten convolutions under vmap become a grouped one, factorisations of small matrices
    wait for the host, and every loop beyond that over steps starts small kernels.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    fields = dsprites.get_config().to_dict()
    fields["data"]["source"] = "rendered"
    config = config_lib.from_dict(fields)
    dataset = data.load(config.dataset, config.data)
    objective = objectives.build(config, dataset.spec)
    adam = state_lib.optimizer(objective, config.clip_norm)
    part = step_lib.shard(config.num_pairs, 1, 0)

    def run(seed, hyper):
        state = state_lib.init(objective, adam, seed, dataset.image_shape)
        return step_lib.train_steps(
            objective, adam, 3, state, dataset, seed, hyper, part
        )

    seeds = jnp.arange(10, dtype=jnp.uint32)
    hyper = jax.tree.map(lambda x: jnp.full(10, x, jnp.float32), config.hyper)
    traced = jax.jit(jax.vmap(run)).trace(seeds, hyper)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    found = collections.Counter(re.findall(r"stablehlo\.(\w+)", text))
    assert found["dot_general"] > 50
    assert found["while"] == 1
    for operation in ("convolution", "custom_call", "triangular_solve", "sort"):
        assert not found[operation], operation
