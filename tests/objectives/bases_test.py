"""Every base objective against plain loops, alone and under CFASL."""

import chex
import jax
import numpy as np
import pytest
import reference
import tiny

from cfasl_jax.errors import ConfigError
from cfasl_jax.losses import control
from cfasl_jax.objectives import OBJECTIVES, build
from cfasl_jax.settings import FIDELITIES

B, D, L = 8, 3, 2
P = B // 2
IMAGE = (tiny.SIDE, tiny.SIDE, 1)
IMAGES, NOISE = tiny.batch(B, D)
# Switches of the published code that a base objective reads.
PUBLISHED = {
    "beta_tcvae": "tc_weights_per_dimension",
    "control_vae": "frozen_integral",
    "clg_vae": "lie_commutator_transposed",
}
# Halfway through training: the step, and Control-VAE's controller.
HALFWAY = (np.int32(5), control.Controller(np.float32(0.4), np.float32(0.0)))


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("cfasl", [False, True])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_configuration_builds_equal_objectives(name, cfasl, fidelity):
    """Otherwise each would be compiled anew."""
    switches = FIDELITIES[fidelity]
    config = tiny.config(objective=name, cfasl=cfasl, latent_dim=2)
    config = tiny.replace(config, fidelity=switches)
    first, second = (build(config, tiny.dataset().spec) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


def test_beta_tcvae_needs_as_many_images_as_a_batch():
    config = tiny.config(objective="beta_tcvae", batch_size=64)
    small = tiny.dataset().spec
    with pytest.raises(ConfigError, match=r"batch_size \(64\), and tiny has 20"):
        build(config, small)
    build(config, tiny.replace(small, num_images=64))


def evaluate(objective, noise=NOISE, progress=HALFWAY, **changes):
    params = objective.init(jax.random.key(0), IMAGE)
    hyper = tiny.hyper(**changes)
    total, terms = jax.jit(objective.loss)(params, IMAGES, noise, hyper, *progress)
    return params, float(total), {name: float(value) for name, value in terms.items()}


def discriminator_logits(params, z):
    x = np.float64(z)
    for layer in ("Dense_0", "Dense_1"):
        affine = params[layer]["affine"]
        x = x @ np.float64(affine["kernel"]) + np.float64(affine["bias"])
        x = np.where(x > 0, x, 0.2 * x)
    last = params["Dense_2"]["affine"]
    return (x @ np.float64(last["kernel"]) + np.float64(last["bias"]))[:, 0]


def expected(name, objective, params, official=False):
    """The base objective's own terms and their weighted sum, in float64."""
    h = jax.tree.map(float, tiny.hyper())
    mu, logvar = (np.float64(x) for x in objective.encode(params, IMAGES))
    z = mu + np.exp(logvar / 2) * NOISE.eps
    kl = reference.kl(mu, logvar).mean()
    if name == "beta_vae":
        return {"kl": kl}, h.beta * kl
    if name == "beta_tcvae":
        N = tiny.GRID.num_points
        mi, tc, dwkl = reference.decompose(z, mu, logvar, N, official)
        return {"kl": kl, "mi": mi, "tc": tc, "dwkl": dwkl}, mi + h.beta * tc + dwkl
    if name == "control_vae":
        error = 0.5 + (h.capacity - 0.5) * 5 / 10 - kl
        integral = 0.0 if official else 0.4 - h.control.ki * error
        beta = h.control.kp / (1 + np.exp(error)) + integral + h.control.beta_min
        beta = min(max(beta, h.control.beta_min), h.control.beta_max)
        return {"kl": kl, "beta": beta}, beta * kl
    if name == "clg_vae":
        G = params["decoder"]["generators"]
        layer = params["encoder"]["matrix"]
        flat = np.float64(IMAGES).reshape(B, -1)
        features = flat @ np.float64(layer["kernel"]) + np.float64(layer["bias"])
        features = 1 / (1 + np.exp(-features))
        code = reference.lie_code(G, z)
        terms = {
            "kl": kl,
            "hessian": reference.lie_hessian(G),
            "lie_commutator": reference.lie_commutator(G, official),
            "features": sum(np.sum((features - code) ** 2, axis=1)) / B,
        }
        weights = [1.0, h.lie.hessian, h.lie.commutator, h.feature_weight]
        return terms, np.dot(list(terms.values()), weights)
    if name == "factor_vae":
        shuffled = np.array(
            [[z[NOISE.permutation[b, d], d] for d in range(D)] for b in range(B)]
        )
        own = discriminator_logits(params["discriminator"], z)
        other = discriminator_logits(params["discriminator"], shuffled)
        likely = np.log(1 / (1 + np.exp(-own))).mean()
        unlikely = np.log(1 - 1 / (1 + np.exp(-other))).mean()
        loss = -0.5 * (likely + unlikely)
        terms = {"kl": kl, "tc": own.mean(), "discriminator": loss}
        return terms, kl + h.factor.gamma * own.mean() + loss
    if name in ("dip_vae_i", "dip_vae_ii"):
        off, diagonal = reference.dip(mu, logvar if name == "dip_vae_ii" else None)
        terms = {"kl": kl, "off_diagonal": off, "diagonal": diagonal}
        return terms, kl + h.dip.lambda_od * off + h.dip.lambda_d * diagonal
    assert name == "annealed_vae"
    gap = abs(kl - h.capacity * 5 / 10)
    return {"kl": kl, "capacity_gap": gap}, h.annealed.gamma * gap


CASES = [(name, False) for name in OBJECTIVES] + [(name, True) for name in PUBLISHED]


@pytest.mark.parametrize(("name", "official"), CASES)
def test_alone_it_agrees_with_plain_loops(name, official):
    switches = {PUBLISHED[name]: True} if official else {}
    objective = tiny.objective(D, cfasl=False, base_name=name, **switches)
    params, total, terms = evaluate(objective)
    own_terms, weighted = expected(name, objective, params, official)
    assert terms.keys() == own_terms.keys() | {"reconstruction"}
    reconstruction = terms.pop("reconstruction")
    chex.assert_trees_all_close(terms, own_terms, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(total, reconstruction + weighted, rtol=1e-5)


@pytest.mark.parametrize(("name", "ratio"), [("dip_vae_i", 10), ("dip_vae_ii", 1)])
def test_lambda_d_is_a_multiple_of_lambda_od_unless_it_is_given(name, ratio):
    objective = tiny.objective(D, cfasl=False, base_name=name)
    params = objective.init(jax.random.key(0), IMAGE)
    hyper = tiny.hyper()
    losses = [
        objective.loss(params, IMAGES, NOISE, tiny.replace(hyper, dip=dip), *HALFWAY)[0]
        for dip in (
            tiny.replace(hyper.dip, lambda_d=None),
            tiny.replace(hyper.dip, lambda_d=ratio * hyper.dip.lambda_od),
        )
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_arithmetic_differs(name):
    corrected = tiny.objective(D, cfasl=False, base_name=name)
    published = tiny.objective(
        D, cfasl=False, base_name=name, **{PUBLISHED[name]: True}
    )
    totals = [evaluate(objective)[1] for objective in (corrected, published)]
    assert abs(totals[0] - totals[1]) > 1e-4 * abs(totals[0])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_cfasl_adds_its_terms_and_changes_none(name):
    alone = tiny.objective(D, cfasl=False, base_name=name)
    both = tiny.objective(D, L, base_name=name)
    _, base_total, base_terms = evaluate(alone)
    _, total, terms = evaluate(both)
    shared = {key: terms[key] for key in base_terms}
    chex.assert_trees_all_close(shared, base_terms, rtol=1e-5)
    h = tiny.hyper()
    weights = {
        **dict.fromkeys(
            ("parallel", "perpendicular", "commutator", "sparsity"), h.weights.alpha
        ),
        "factor_prediction": h.weights.gamma,
        "encoder_equivariance": h.weights.lamb,
        "decoder_equivariance": h.weights.epsilon,
    }
    assert terms.keys() - base_terms.keys() == weights.keys()
    added = sum(weight * terms[key] for key, weight in weights.items())
    np.testing.assert_allclose(total, base_total + added, rtol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_finite_and_reach_every_parameter(name):
    objective = tiny.objective(D, L, base_name=name)
    params = objective.init(jax.random.key(0), IMAGE)
    gradient = jax.jit(jax.grad(objective.loss, has_aux=True))(
        params, IMAGES, NOISE, tiny.hyper(), *HALFWAY
    )[0]
    chex.assert_tree_all_finite(gradient)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.abs(leaf).max() > 0, jax.tree_util.keystr(path)


def loss_gradient(objective, name, progress=HALFWAY):
    """Gradient of the whole loss by the encoder's parameters, and by a network's."""
    params = objective.init(jax.random.key(0), IMAGE)
    hyper = tiny.hyper()
    gradient = jax.grad(objective.loss, has_aux=True)
    return params, gradient(params, IMAGES, NOISE, hyper, *progress)[0][name]


def test_neither_player_of_factor_vae_moves_the_other():
    objective = tiny.objective(D, cfasl=False, base_name="factor_vae")
    params, gradient = loss_gradient(objective, "discriminator")
    z = np.asarray(objective.encode(params, IMAGES).sample(NOISE.eps))
    shuffled = np.take_along_axis(z, NOISE.permutation, axis=0)
    logit = objective.base.discriminator.apply

    def own_loss(discriminator):
        own, other = (logit({"params": discriminator}, x) for x in (z, shuffled))
        return 0.5 * (jax.nn.softplus(-own).mean() + jax.nn.softplus(other).mean())

    expected_gradient = jax.grad(own_loss)(params["discriminator"])
    chex.assert_trees_all_close(gradient, expected_gradient, rtol=1e-4, atol=1e-6)

    def players_loss(encoder):
        z = objective.encode(params | {"encoder": encoder}, IMAGES).sample(NOISE.eps)
        _, terms = objective.loss(
            params | {"encoder": encoder}, IMAGES, NOISE, tiny.hyper(), *HALFWAY
        )
        tc = logit({"params": params["discriminator"]}, z).mean()
        return terms["reconstruction"] + terms["kl"] + tiny.hyper().factor.gamma * tc

    _, encoder_gradient = loss_gradient(objective, "encoder")
    chex.assert_trees_all_close(
        encoder_gradient,
        jax.grad(players_loss)(params["encoder"]),
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize("official", [False, True])
def test_only_the_published_controller_is_differentiated(official):
    objective = tiny.objective(
        D, cfasl=False, base_name="control_vae", frozen_integral=official
    )
    _, gradient = loss_gradient(objective, "encoder")
    params, _, terms = evaluate(objective)

    def fixed_beta(encoder):
        _, terms_now = objective.loss(
            params | {"encoder": encoder}, IMAGES, NOISE, tiny.hyper(), *HALFWAY
        )
        return terms_now["reconstruction"] + terms["beta"] * terms_now["kl"]

    same = jax.tree.map(
        lambda a, b: np.allclose(a, b, rtol=1e-4, atol=1e-6),
        gradient,
        jax.grad(fixed_beta)(params["encoder"]),
    )
    assert all(jax.tree.leaves(same)) != official


def test_clg_vae_decodes_features_when_the_coin_falls():
    objective = tiny.objective(D, L, base_name="clg_vae")
    params, _, matrix = evaluate(objective)
    _, _, features = evaluate(objective, NOISE._replace(coin=np.float32(0.3)))
    changed = {key for key in matrix if matrix[key] != features[key]}
    assert changed == {"reconstruction"}
    *_, read = objective.encoder.apply({"params": params["encoder"]}, IMAGES)
    logits = objective.decoder.apply({"params": params["decoder"]}, read, method="read")
    reconstruction = reference.reconstruction(np.asarray(logits), IMAGES, "bernoulli")
    np.testing.assert_allclose(
        features["reconstruction"], reconstruction.mean(), rtol=1e-5
    )


def test_published_clg_vae_has_no_decoder_equivariance_of_its_own():
    objective = tiny.objective(
        D, L, base_name="clg_vae", lie_decoder_not_equivariant=True
    )
    _, _, terms = evaluate(objective)
    np.testing.assert_allclose(
        terms["decoder_equivariance"], terms["reconstruction"], rtol=1e-5
    )
    _, _, features = evaluate(objective, NOISE._replace(coin=np.float32(0.3)))
    assert features["reconstruction"] != terms["reconstruction"]
    np.testing.assert_allclose(
        features["decoder_equivariance"], terms["reconstruction"], rtol=1e-5
    )
    plain = tiny.objective(D, L, lie_decoder_not_equivariant=True)
    _, _, terms = evaluate(plain)
    assert terms["decoder_equivariance"] != terms["reconstruction"]


def test_only_control_vae_moves_the_controller():
    now = (control.start(), np.int32(0), np.float32(0.1), tiny.hyper())
    for name in OBJECTIVES:
        after = tiny.base(name).advance(*now)
        moved = float(after.integral) != 0
        assert moved == (name == "control_vae"), name
    official = FIDELITIES["official"]
    frozen = tiny.base("control_vae", official).advance(*now)
    chex.assert_trees_all_equal(frozen, control.start())
