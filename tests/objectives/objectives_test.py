"""A whole loss against its plain-loop version, term by term."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import tiny

from cfasl_jax import objectives
from cfasl_jax.settings import FIDELITIES, Ours, Weights
from cfasl_jax.types import Posterior

B, D, L = 8, 3, 2
S, P = D, B // 2
IMAGE = (tiny.SIDE, tiny.SIDE, 1)
RNG = np.random.default_rng(1)
IMAGES, NOISE = tiny.batch(B, D)


def evaluate(objective, hyper=None, seed=0):
    params = objective.init(jax.random.key(seed), IMAGE)
    loss = jax.jit(objective.loss)
    total, terms = loss(params, IMAGES, NOISE, hyper or tiny.hyper())
    return params, float(total), {name: float(value) for name, value in terms.items()}


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def expected_terms(objective, params, threshold=0.2):
    """Every term from its definition, in float64."""
    fidelity, ours = objective.cfasl.fidelity, objective.cfasl.ours
    mu, logvar = (np.float64(x) for x in objective.encode(params, IMAGES))
    z = mu + np.exp(logvar / 2) * NOISE.eps
    second = np.arange(P, B)
    if ours.near_partners:

        def apart(i, j):
            return sum(min(abs(mu[i, d] - mu[j, d]), threshold) for d in range(D))

        second = [min(range(P, B), key=lambda j: apart(i, j)) for i in range(P)]
    z1, z2, mu1, mu2 = z[:P], z[second], mu[:P], mu[second]
    half = mu2 / 2 if fidelity.sigma2_from_mu else logvar[second] / 2
    phi = np.concatenate([mu1, np.exp(logvar[:P] / 2), mu2, np.exp(half)], axis=1)
    if ours.even_heads:
        phi = np.concatenate([phi, np.abs(mu1 - mu2)], axis=1)
    heads = params["codebook"]["heads"]
    out = (phi @ np.float64(heads["kernel"]) + np.float64(heads["bias"])).reshape(
        P, S, 2 + L
    )
    p, a = out[..., :2], softmax(out[..., 2:])
    noisy = p + NOISE.gumbel
    sw = (noisy[..., 1] > noisy[..., 0]).astype(float)
    A = np.float64(params["codebook"]["generators"])
    if ours.action != "linear":
        A = np.concatenate([A, np.zeros((S, L, D + 1, 1))], axis=3)

    def extended(codes):
        """[z, 1] where group elements act on it."""
        return np.pad(codes, ((0, 0), (0, A.shape[-1] - D)), constant_values=1.0)

    def act(codes, generators):
        return reference.act(extended(codes), generators)[:, :D]

    M = reference.composite(A, sw, a)
    delta = reference.displacement(A, extended(z))[..., :D]
    far = z1 - z2 if fidelity.targets_from_sample else mu1 - mu2
    changed = np.abs(far) > threshold
    back, forth = act(z2, -M), act(z1, M)
    compared = (mu1, mu2) if ours.equivariance_of_mu else (z1, z2)
    sparsity = (
        reference.relative_sparsity if ours.relative_sparsity else reference.sparsity
    )
    commute = (
        reference.commutator_official
        if fidelity.commutator_memory_order
        else reference.commutator
    )

    def rec(codes, images=IMAGES):
        logits = np.asarray(objective.decode(params, np.float32(codes)))
        return reference.reconstruction(logits, images, objective.likelihood).mean()

    targets = np.concatenate([IMAGES[:P], IMAGES[second]])

    return {
        "reconstruction": rec(z),
        "kl": reference.kl(mu, logvar).mean(),
        "parallel": reference.parallel(delta),
        "perpendicular": reference.perpendicular(delta, NOISE.element),
        "sparsity": sparsity(delta),
        "commutator": commute(A),
        "factor_prediction": reference.factor_prediction(
            softmax(p) if fidelity.double_softmax else p, changed
        ),
        "encoder_equivariance": reference.encoder_equivariance(
            *map(extended, compared), M
        )
        * (A.shape[-1] / D),  # the 1 differs by nothing, but counts in the mean
        "decoder_equivariance": rec(np.concatenate([back, forth]), targets),
    }


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_cfasl_terms_agree_with_plain_loops(likelihood):
    objective = tiny.objective(D, L, likelihood=likelihood)
    params, total, terms = evaluate(objective)
    expected = expected_terms(objective, params)
    assert terms.keys() == expected.keys()
    chex.assert_trees_all_close(terms, expected, rtol=2e-4)
    h = tiny.hyper()
    biases = ["parallel", "perpendicular", "sparsity", "commutator"]
    weighted = (
        expected["reconstruction"]
        + h.beta * expected["kl"]
        + h.weights.alpha * sum(expected[name] for name in biases)
        + h.weights.gamma * expected["factor_prediction"]
        + h.weights.lamb * expected["encoder_equivariance"]
        + h.weights.epsilon * expected["decoder_equivariance"]
    )
    np.testing.assert_allclose(total, weighted, rtol=1e-5)


# The switches whose effect is on the value of a CFASL term.
SWITCHES = (
    "sigma2_from_mu",
    "double_softmax",
    "targets_from_sample",
    "commutator_memory_order",
)


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_alone_agrees_with_its_plain_loop(name):
    objective = tiny.objective(D, L, **{name: True})
    params, _, terms = evaluate(objective)
    chex.assert_trees_all_close(terms, expected_terms(objective, params), rtol=2e-4)
    _, _, without = evaluate(tiny.objective(D, L))
    assert any(abs(terms[k] - without[k]) > 1e-3 * abs(without[k]) for k in terms)


def gradients(**ours):
    """Terms, and the gradient of CFASL's terms alone by each network."""
    objective = tiny.objective(D, L, ours=Ours(**ours))
    params = objective.init(jax.random.key(0), IMAGE)
    nothing = {"beta": 0.0}

    def own(params, weights):
        hyper = tiny.hyper(weights=weights, **nothing)
        return objective.loss(params, IMAGES, NOISE, hyper)

    def of(**weights):
        alone = Weights(**dict.fromkeys(("alpha", "gamma", "lamb", "epsilon"), 0.0))
        plain = jax.grad(lambda p: own(p, alone)[0])(params)
        whole = jax.grad(lambda p: own(p, dataclasses.replace(alone, **weights))[0])(
            params
        )
        return jax.tree.map(jnp.subtract, whole, plain)

    return of


def size(gradient):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))


def test_the_switchs_temperature_shapes_its_gradient_alone():
    objective = tiny.objective(D, L)
    params = objective.init(jax.random.key(0), IMAGE)
    loss = jax.jit(jax.value_and_grad(objective.loss, has_aux=True))
    found = []
    for temperature in (0.5, 2.0):
        hyper = tiny.hyper()
        codebook = tiny.replace(hyper.codebook, temperature=temperature)
        hyper = tiny.replace(hyper, codebook=codebook)
        (total, _), gradient = loss(params, IMAGES, NOISE, hyper)
        found.append((total, gradient["codebook"]["heads"]["kernel"]))
    (cold, sharp), (hot, flat) = found
    np.testing.assert_allclose(cold, hot, rtol=1e-6)
    assert not np.allclose(sharp, flat, rtol=0.05)


def test_detached_heads_send_no_gradient_to_the_encoder():
    assert size(gradients()(gamma=1.0)["encoder"]) > 1e-3
    detached = gradients(detached_heads=True)(gamma=1.0)
    assert size(detached["encoder"]) < 1e-4 < size(detached["codebook"]["heads"])


def test_detached_biases_shape_the_codebook_alone():
    assert size(gradients()(alpha=1.0)["encoder"]) > 1e-3
    detached = gradients(detached_biases=True)(alpha=1.0)
    assert size(detached["encoder"]) < 1e-4 < size(detached["codebook"]["generators"])


# The changes whose effect is on the value of a term.
CHANGES = (
    {"relative_sparsity": True},
    {"even_heads": True},
    {"equivariance_of_mu": True},
    {"near_partners": True},
    {"action": "affine"},
    {"action": "axes"},
    {"action": "affine", "even_heads": True, "equivariance_of_mu": True},
)


@pytest.mark.parametrize("ours", CHANGES, ids=str)
def test_each_change_of_ours_agrees_with_its_plain_loop(ours):
    objective = tiny.objective(D, L, ours=Ours(**ours))
    params, _, terms = evaluate(objective, seed=1)
    expected = expected_terms(objective, params)
    chex.assert_trees_all_close(terms, expected, rtol=2e-4, atol=1e-6)
    _, _, without = evaluate(tiny.objective(D, L), seed=1)
    assert any(abs(terms[k] - without[k]) > 1e-3 * abs(without[k]) for k in terms)


def test_given_axes_are_not_learned():
    gradient = gradients(action="axes")(alpha=1.0, gamma=1.0, lamb=1.0, epsilon=1.0)
    assert size(gradient["codebook"]["generators"]) == 0
    assert size(gradient["codebook"]["heads"]) > 1e-3


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (5, 0.25), (20, 1.0), (99, 1.0)])
def test_equivariances_rise_over_the_ramp(step, share):
    objective = tiny.objective(D, L)
    params, _, terms = evaluate(objective)
    weights = tiny.hyper().weights

    def total(**changes):
        hyper = tiny.hyper(weights=dataclasses.replace(weights, **changes))
        return objective.loss(params, IMAGES, NOISE, hyper, step)[0]

    rising = weights.lamb * terms["encoder_equivariance"]
    rising += weights.epsilon * terms["decoder_equivariance"]
    assert rising > 1.0
    lacking = total(ramp=np.float32(0)) - total(ramp=np.float32(20))
    np.testing.assert_allclose(lacking, (1 - share) * rising, rtol=1e-4, atol=1e-5)


def test_soft_noisy_switch_is_published_gumbel_softmax():
    objective = tiny.objective(D, L, soft_noisy_switch=True)
    params = objective.init(jax.random.key(0), IMAGE)
    first, second = (
        Posterior(*RNG.normal(size=(2, P, D)).astype(np.float32)) for _ in range(2)
    )
    logits = objective.cfasl.compose(params, first, second)[1]
    # A tie within the temperature, where a hard switch and this one differ.
    gumbel = NOISE.gumbel.copy()
    gumbel[0, 0] = [logits[0, 0, 1] - logits[0, 0, 0] - 5e-5, 0.0]
    got = objective.cfasl.compose(params, first, second, gumbel=gumbel)[0].switch
    noisy = (np.float64(logits) + gumbel) / 1e-4
    np.testing.assert_allclose(got, softmax(noisy)[..., 1], atol=2e-3)
    assert 0.5 < got[0, 0] < 0.7


def test_soft_noisy_switch_is_noisy_in_evaluation_too():
    objective = tiny.objective(D, L, soft_noisy_switch=True)
    params = objective.init(jax.random.key(0), IMAGE)
    first, second = (
        Posterior(*RNG.normal(size=(2, 400, D)).astype(np.float32)) for _ in range(2)
    )
    symmetry, logits = objective.cfasl.compose(params, first, second)
    chosen = logits[..., 1] > logits[..., 0]
    # Of logits with a margin of m, standard Gumbel noise turns a sigmoid(-m) round.
    margin = np.abs(np.float64(logits[..., 1] - logits[..., 0]))
    turned = np.mean((symmetry.switch > 0.5) != chosen)
    assert turned == pytest.approx(np.mean(1 / (1 + np.exp(margin))), abs=0.05)
    again = objective.cfasl.compose(params, first, second)[0].switch
    np.testing.assert_array_equal(symmetry.switch, again)


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("cfasl", [False, True])
def test_published_init_draws_biases_and_a_large_codebook(published, cfasl):
    config = tiny.config(cfasl=cfasl, fidelity={"published_init": published})
    spec = dataclasses.replace(tiny.dataset().spec, image_shape=(64, 64, 1))
    objective = objectives.build(config, spec)
    params = jax.jit(objective.init, static_argnums=1)(jax.random.key(0), (64, 64, 1))
    flat = jax.tree_util.tree_leaves_with_path(params)
    biases = [np.ravel(leaf) for path, leaf in flat if path[-1].key == "bias"]
    drawn = np.concatenate(biases)
    assert len(biases) > 8
    if not published:
        assert not drawn.any()
    elif cfasl:  # U(0, 1)
        assert 0.0 <= drawn.min() < 0.1 < 0.9 < drawn.max() < 1.0
    else:  # PyTorch's default: U(-b, b), b one over the root of the fan-in
        for bias, fan_in in (
            (params["decoder"]["start"]["affine"]["bias"], 8),
            (params["encoder"]["features"]["conv_2"]["bias"], 4 * 4 * 32),
        ):
            bound = fan_in**-0.5
            assert -bound <= bias.min() < -0.9 * bound
            assert 0.9 * bound < bias.max() <= bound
    if cfasl:
        spread = np.std(params["codebook"]["generators"])
        # N(0, s^2) cut at two s has a standard deviation of 0.88 s.
        assert spread == pytest.approx(0.88 * (1.0 if published else 0.1), rel=0.2)


def test_perpendicular_draws_below_sections_only_when_asked():
    assert tiny.objective(3, 8).drawn_elements == 8
    published = tiny.objective(3, 8, perpendicular_below_sections=True)
    assert published.drawn_elements == 3


def test_baseline_is_the_plain_elbo():
    objective = tiny.objective(D, cfasl=False)
    params, total, terms = evaluate(objective)
    assert set(params) == {"encoder", "decoder"}
    assert set(terms) == {"reconstruction", "kl"}
    expected = terms["reconstruction"] + 2.0 * terms["kl"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_weights_are_traced():
    objective = tiny.objective(D, L)
    params = objective.init(jax.random.key(0), IMAGE)
    loss = jax.jit(chex.assert_max_traces(objective.loss, n=1))
    totals = [
        float(loss(params, IMAGES, NOISE, tiny.hyper(beta=beta))[0])
        for beta in (1.0, 2.0, 3.0)
    ]
    np.testing.assert_allclose(totals[2] - totals[1], totals[1] - totals[0], rtol=1e-3)


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_gradients_are_finite_and_reach_every_parameter(fidelity):
    switches = dataclasses.asdict(FIDELITIES[fidelity])
    objective = tiny.objective(D, 4, **switches)
    params = objective.init(jax.random.key(0), IMAGE)
    gradient = jax.grad(lambda p: objective.loss(p, IMAGES, NOISE, tiny.hyper())[0])(
        params
    )
    chex.assert_tree_all_finite(gradient)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.abs(leaf).max() > 0, jax.tree_util.keystr(path)
