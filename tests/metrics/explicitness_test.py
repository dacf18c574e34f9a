import dataclasses

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.multiclass import OneVsRestClassifier

from cfasl_jax.metrics import explicitness
from cfasl_jax.metrics.explicitness import _variance, regressions, roc_area
from cfasl_jax.metrics.points import UnavailableError

FACTORS = reference.grid((4, 4, 4, 4))
BINARY = np.tile(reference.grid((2, 2, 2)), (40, 1))


def score(codes, factors=FACTORS):
    return explicitness(codes, factors, TINY, reference.rng(), jobs=1)


def test_perfect_binary_codes_score_one():
    assert score(reference.perfect(BINARY), BINARY)["explicitness"] == 1.0


def test_constant_codes_score_a_half():
    assert score(reference.constant(FACTORS))["explicitness"] == 0.5


@pytest.mark.parametrize("case", [reference.duplicated, reference.rotated])
def test_a_copy_or_a_rotation_scores_what_the_codes_score(case):
    plain = score(reference.perfect(FACTORS))["explicitness"]
    assert score(case(FACTORS))["explicitness"] == pytest.approx(plain, abs=0.02)


def test_noise_scores_near_a_half():
    assert score(reference.noise(FACTORS))["explicitness"] == pytest.approx(
        0.5, abs=0.1
    )


@pytest.mark.parametrize("normalized", [False, True])
def test_agrees_with_the_plain_loop(normalized):
    codes = reference.mixed(FACTORS)
    rows = reference.rng().permutation(256)
    train, test = rows[:160], rows[160:]
    scaled = (codes - codes[train].mean(axis=0)) / codes[train].std(axis=0)
    factors = []
    for k in range(FACTORS.shape[1]):
        each = OneVsRestClassifier(LogisticRegression())
        each.fit(scaled[train], FACTORS[train, k])
        if normalized:
            found = each.predict_proba(scaled[test]).T
        else:
            found = [one.decision_function(scaled[test]) for one in each.estimators_]
        areas = [
            roc_auc_score(FACTORS[test, k] == value, column)
            for value, column in enumerate(found)
        ]
        factors.append(np.mean(areas))
    protocol = dataclasses.replace(TINY, explicitness_normalized=normalized)
    result = explicitness(codes, FACTORS, protocol, reference.rng(), jobs=1)
    assert result["explicitness"] == pytest.approx(np.mean(factors), abs=1e-6)


def test_area_with_ties_and_weights_agrees_with_scikit_learn():
    random = reference.rng()
    scores = random.integers(0, 6, 80).astype(float)
    positive = random.random(80) < 0.4
    weights = random.integers(0, 3, (4, 80))
    expected = [roc_auc_score(positive, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(roc_area(scores, positive, weights), expected)
    assert np.isnan(roc_area(scores, np.zeros(80, bool), weights)).all()


def test_one_step_from_all_points_is_nearly_a_fit_of_the_resampled_points():
    random = reference.rng()
    x = np.insert(random.normal(size=(4_000, 4)), 0, 1.0, axis=1)
    signal = x @ [0.5, 1.0, -0.5, 0.0, 0.3] + random.logistic(size=len(x))
    labels = np.stack([signal > 0, signal < -1], axis=1)
    weights = random.multinomial(len(x), np.full(len(x), 1 / len(x)), size=8)
    fitted, *again = regressions(x, labels, weights)
    for once_fitted, column in enumerate(labels.T):
        for row, found in zip(weights, again, strict=True):
            model = LogisticRegression(tol=1e-8)
            model.fit(x[:, 1:], column, sample_weight=row)
            expected = np.append(model.intercept_, model.coef_)
            moved = expected - fitted[once_fitted]
            step = found[once_fitted] - fitted[once_fitted]
            assert np.linalg.norm(step - moved) < 0.1 * np.linalg.norm(moved)


@pytest.mark.parametrize("parts", [(1.0, 4.0, 2.0), (0.0, 0.0, 3.0), (5.0, 0.0, 0.0)])
def test_what_training_and_test_points_do_together_counts_once(parts):
    random = reference.rng()
    of_training, of_test, of_both = (
        np.sqrt(part) * random.normal(size=size)
        for part, size in zip(parts, [(400, 1), 400, (400, 400)], strict=True)
    )
    fit = of_test + np.sqrt(parts[2]) * random.normal(size=400)
    refits = np.insert(
        of_test + of_both, 0, np.sqrt(parts[2]) * random.normal(size=400), 1
    )
    variance, _ = _variance(fit, of_training + refits)
    assert variance == pytest.approx(sum(parts), rel=0.2)


@pytest.mark.parametrize("normalized", [False, True])
def test_the_interval_includes_the_choice_of_training_points(normalized):
    protocol = dataclasses.replace(TINY, explicitness_normalized=normalized)
    reference.assert_refits_widen(
        explicitness, "explicitness", FACTORS, protocol, few=0
    )


def test_a_rare_value_gives_a_finite_score_or_none():
    rng, outcomes = np.random.default_rng(0), set()
    for rare in (4, 8, 12, 16, 40):
        factors = np.stack([np.arange(900) < rare, rng.permutation(900) % 3], axis=1)
        codes = factors + rng.normal(size=(900, 2))
        try:
            got = explicitness(codes, factors.astype(int), TINY, rng, jobs=1)
        except UnavailableError:
            continue
        ends = got["intervals"]["explicitness"]
        outcomes.add(bool(np.isfinite([got["explicitness"], *ends]).all()))
    assert True in outcomes
    assert False not in outcomes
