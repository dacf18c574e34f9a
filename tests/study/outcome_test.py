"""Which settings are chosen, and what study.json holds of runs with known scores."""

import metrics_reference
import numpy as np
import pytest
import study_results
from study_worker import ENTRIES

from cfasl_jax.errors import ConfigError
from cfasl_jax.run import agreement
from cfasl_jax.study import definition, outcome, plan, run_files


def build(**changes):
    reporting = {"seeds": (1, 2, 3, 4)}
    tuning = {"seeds": (101, 102)}
    entries = ENTRIES | {"reporting": reporting, "tuning": tuning} | changes
    return definition.from_dict(entries, "small")


def collected(root, study, score_of):
    study_results.finish(root, study, score_of)
    return outcome.collect(study, root)


def test_tuning_seeds_alone_choose_by_the_mean_rank(tmp_path):
    study = build(select=("mig", "modularity"))
    tuned = {  # (MIG, modularity) by setting and seed
        ("beta=1", 101): (0.1, 0.9),
        ("beta=1", 102): (0.3, 0.9),  # means .2 and .9: ranks 2 and 1
        ("beta=4", 101): (0.3, 0.5),
        ("beta=4", 102): (0.3, 0.5),  # means .3 and .5: ranks 1 and 2
    }

    def score_of(run):
        pair = tuned.get((run.setting, run.seed), (0.99, 0.99))
        return dict(zip(("mig", "modularity"), pair, strict=True))

    results = collected(tmp_path, study, score_of)
    arm = results["arms"]["beta-VAE"]
    assert arm["chosen"] == "beta=1"  # of two equal ranks the first
    assert arm["settings"]["beta=4"]["rank"] == 1.5
    np.testing.assert_allclose(arm["settings"]["beta=1"]["means"]["mig"], 0.2)
    by_mig = build(select=("mig",))
    entries = {}
    plan.pending(by_mig, tmp_path, entries)
    assert plan.choose(by_mig, by_mig.arms[0], entries).setting == "beta=4"


@pytest.mark.parametrize("agreeing", ["beta=1", "beta=4"])
def test_udr_chooses_the_setting_whose_seeds_agree(tmp_path, agreeing):
    study = build(select=("udr",))
    results = collected(tmp_path, study, study_results.agreeing(tmp_path, agreeing))
    arm = results["arms"]["beta-VAE"]
    assert arm["chosen"] == agreeing
    means = {name: found["means"]["udr"] for name, found in arm["settings"].items()}
    assert means.pop(agreeing) > 0.8
    noise = [study_results.noise(seed) for seed in (101, 102)]
    expected = metrics_reference.udr_of_pair(*noise)
    assert list(means.values()) == [pytest.approx(expected, abs=1e-6)]
    shared = study_results.CODES
    expected = metrics_reference.udr_of_pair(shared, shared)
    found = [entry["udr"] for entry in arm["reporting"]]
    np.testing.assert_allclose(found, [expected] * 4, rtol=1e-6)
    assert results["measures"]["udr"]["beta-VAE"]["n"] == 4


def test_a_setting_without_codes_is_not_chosen_by_udr(tmp_path):
    score_of = study_results.agreeing(tmp_path, "beta=4")

    def some(run):
        scores = score_of(run)
        if run.setting == "beta=4" and run.seed == 102:
            (tmp_path / run.folder / agreement.CODES_FILE).unlink()
        return scores

    study = build(select=("udr",))
    results = collected(tmp_path, study, some)
    assert results["arms"]["beta-VAE"]["chosen"] == "beta=1"


def test_udr_grows_with_the_runs_that_finish(tmp_path):
    study, entries = build(select=("udr",)), {}
    runs = plan.tuning_runs(study, study.arms[0])
    score_of = study_results.agreeing(tmp_path, "beta=1")
    seen = []
    for run in runs:
        study_results.write(tmp_path, run, score_of(run))
        plan.pending(study, tmp_path, entries)
        seen.append([entries[r.folder].get("udr") for r in runs if r.folder in entries])
    assert [len([u for u in found if u is not None]) for found in seen] == [0, 2, 2, 4]


def test_of_a_score_that_should_be_low_the_lowest_is_the_best(tmp_path):
    name = "gaussian_total_correlation"
    study = build(metrics=(name,), primary=(name,), select=(name,))
    low = {"beta=4": 0.1, "beta=1": 0.9}

    def score_of(run):
        arm = 0.0 if run.arm == "beta-VAE" else 5.0
        return {name: arm + low[run.setting] + 0.01 * run.seed}

    results = collected(tmp_path, study, score_of)
    assert results["arms"]["beta-VAE"]["chosen"] == "beta=4"
    assert results["clear_best"]["fast"][name] == "beta-VAE"


def test_nothing_is_chosen_before_the_last_tuning_run(tmp_path):
    study = build()
    first, *others = plan.tuning_runs(study, study.arms[0])
    entries = {}
    for run in others:
        study_results.write(tmp_path, run, {"mig": 0.5, "modularity": 0.5})
    plan.pending(study, tmp_path, entries)
    assert plan.choose(study, study.arms[0], entries) is None
    assert {run.phase for run in plan.known_runs(study, entries)} == {"tuning"}
    study_results.write(tmp_path, first, {"mig": 0.5, "modularity": 0.5})
    plan.pending(study, tmp_path, entries)
    known = plan.known_runs(study, entries)
    reporting = [run for run in known if run.phase == "reporting"]
    # The other arm's are not known yet.
    assert {run.arm for run in reporting} == {"beta-VAE"}


@pytest.mark.parametrize("failed", ["loss not finite at step 7", {"mig": 0.9}])
def test_a_setting_that_failed_or_lacks_a_score_is_not_chosen(tmp_path, failed):
    def score_of(run):
        if run.phase == "tuning" and run.setting == "beta=1" and run.seed == 102:
            return failed
        return {"mig": 0.8 if run.setting == "beta=1" else 0.1, "modularity": 0.5}

    results = collected(tmp_path, build(), score_of)
    assert results["arms"]["beta-VAE"]["chosen"] == "beta=4"
    assert results["arms"]["beta-VAE"]["settings"]["beta=1"]["means"] is None


def test_runs_of_another_length_or_metric_are_not_finished(tmp_path):
    study = build()
    run = plan.tuning_runs(study, study.arms[0])[0]
    study_results.write(tmp_path, run, {"mig": 0.5, "modularity": 0.5})
    assert run_files.entry(tmp_path, run)["scores"]["fast"]["mig"]["value"] == 0.5
    longer = build(tuning={"seeds": (101, 102), "set": {"num_steps": 40}})
    metrics = ("mig", "modularity", "sap")
    more = build(metrics=metrics, select=("sap",))
    for other in (longer, more):
        same_place = plan.tuning_runs(other, other.arms[0])[0]
        assert same_place.folder == run.folder
        assert run_files.entry(tmp_path, same_place) is None


def test_arms_are_compared_seed_by_seed(tmp_path):
    first = {1: 0.5, 2: 0.6, 3: 0.7, 4: 0.8}
    gains = {1: 0.04, 2: 0.05, 3: 0.06, 4: 0.05}

    def score_of(run):
        value = first.get(run.seed, 0.5)
        gain = gains.get(run.seed, 0) * (run.arm == "slow beta-VAE")
        return {"mig": value + gain, "modularity": 1 - value}

    results = collected(tmp_path, build(), score_of)
    mig, modularity = results["differences"]
    assert (mig["first"], mig["second"]) == ("slow beta-VAE", "beta-VAE")
    np.testing.assert_allclose(mig["mean"], 0.05)
    assert mig["interval"][0] > 0
    assert mig["p"] == 2 / 2**4
    assert mig["p_holm"] == 2 * 2 / 2**4  # the smaller of two primary scores
    assert (modularity["mean"], modularity["p_holm"]) == (0, 1)
    # The spread over seeds is larger than the gain, and pairs do not mind.
    scores = results["scores"]["fast"]["mig"]
    np.testing.assert_allclose(
        scores["beta-VAE"]["sd"], np.std(list(first.values()), ddof=1)
    )
    assert results["clear_best"]["fast"] == {"mig": "slow beta-VAE", "modularity": None}
    assert scores["beta-VAE"]["chance"] == 0.01


def test_the_first_protocol_alone_decides(tmp_path):
    def score_of(run):
        return {"mig": 0.1 * (run.seed % 5), "modularity": 0.5}

    results = collected(tmp_path, build(protocols=("fast", "official")), score_of)
    found = results["differences"]
    assert {entry["protocol"] for entry in found} == {"fast", "official"}
    for entry in found:
        decides = entry["protocol"] == "fast"
        assert entry["primary"] == decides
        assert (entry["p_holm"] is not None) == decides


def test_no_arm_is_clearly_best_where_an_interval_has_zero(tmp_path):
    gains = {1: 0.2, 2: 0.2, 3: 0.2, 4: -0.1}

    def score_of(run):
        gain = gains.get(run.seed, 0) * (run.arm == "slow beta-VAE")
        return {"mig": 0.5 + gain, "modularity": 0.5}

    results = collected(tmp_path, build(), score_of)
    assert results["differences"][0]["mean"] > 0
    assert results["clear_best"]["fast"]["mig"] is None


def test_no_arm_is_clearly_best_while_another_has_no_score(tmp_path):
    arms = ENTRIES["arms"]
    study = build(arms=arms | {"third": arms["slow beta-VAE"]})

    def score_of(run):
        if run.arm == "third":
            return "loss not finite at step 9"
        better = run.arm == "beta-VAE"
        return {"mig": 0.5 + 0.2 * better + 0.01 * run.seed, "modularity": 0.5}

    results = collected(tmp_path, study, score_of)
    assert set(results["scores"]["fast"]["mig"]) == {"beta-VAE", "slow beta-VAE"}
    assert results["differences"][0]["interval"][1] < -0.1
    assert results["clear_best"]["fast"]["mig"] is None


def test_a_failed_reporting_run_takes_its_pair_out(tmp_path):
    def score_of(run):
        if (run.phase, run.seed, run.arm) == ("reporting", 3, "beta-VAE"):
            return "loss not finite at step 9"
        return {"mig": 0.1 * (run.seed % 5), "modularity": 0.5}

    results = collected(tmp_path, build(), score_of)
    assert results["unfinished"] == 0
    assert results["scores"]["fast"]["mig"]["beta-VAE"]["n"] == 3
    assert results["scores"]["fast"]["mig"]["slow beta-VAE"]["n"] == 4
    assert results["differences"][0]["n"] == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scores/fast.json", "{"),
        ("scores/fast.json", '{"step": STEPS, "seeds": [1]}'),
        ("failed.json", "[1]"),
        ("failed.json", "[" * 100_000),
    ],
)
def test_what_a_run_left_is_read_or_named_as_damaged(tmp_path, name, text):
    study = build()
    run = plan.tuning_runs(study, study.arms[0])[0]
    path = tmp_path / run.folder / name
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("STEPS", str(run.config.num_steps)))
    with pytest.raises(ConfigError, match="is damaged") as caught:
        outcome.collect(study, tmp_path)
    assert str(path) in str(caught.value)
    assert "move it away" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_curves_are_read_from_the_log(tmp_path):
    study = build()
    study_results.finish(tmp_path, study, lambda _: {"mig": 0.5, "modularity": 0.5})
    run = plan.reporting_runs(study, study.arms[0], "beta=1")[0]
    log = tmp_path / run.folder / "metrics.jsonl"
    log.write_text(
        '{"step": 4, "loss": [3.0]}\n'
        '{"step": 5, "loss": [3.0], "eval/mig": [0.1]}\n'
        "no line of a log\n"
        '{"step": 10, "loss": [2.0], "eval/mig": [0.3]}\n'
    )
    entry = outcome.collect(study, tmp_path)["arms"]["beta-VAE"]["reporting"][0]
    assert entry["curves"] == {"mig": [[5, 0.1], [10, 0.3]]}
