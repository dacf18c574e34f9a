import dataclasses

import pytest

from cfasl_jax.metrics import PROTOCOLS, get_metrics, get_protocol

COUNTS = {
    "official": {
        "codes": "sample",
        "z_diff_train": 500,
        "z_diff_eval": 50,
        "z_diff_batch": 64,
        "z_diff_max_iter": 200,
        "fvm_train": 800,
        "fvm_batch": 100,
        "fvm_variance_samples": 100,
        "fvm_scored_on": "own",
        "prune_std": 0.06,
        "mig_samples": 6_400,
        "mig_bins": 20,
        "sap_train": 6_400,
        "sap_test": 3_200,
        "sap_c": 0.01,
        "dci_train": 6_400,
        "dci_test": 3_200,
        "dci_trees": 100,
        "m_fvm_train": 800,
        "m_fvm_batch": 100,
    },
    "dlib": {
        "codes": "mean",
        "z_diff_train": 10_000,
        "z_diff_eval": 5_000,
        "z_diff_batch": 64,
        "fvm_train": 10_000,
        "fvm_eval": 5_000,
        "fvm_batch": 64,
        "fvm_variance_samples": 10_000,
        "fvm_scored_on": "held_out",
        "prune_std": 0.05,
        "mig_samples": 10_000,
        "sap_train": 10_000,
        "sap_test": 5_000,
        "dci_train": 10_000,
        "dci_test": 5_000,
        "irs_samples": 10_000,
        "irs_quantile": 0.99,
    },
    "fast": {
        "codes": "mean",
        "z_diff_train": 200,
        "z_diff_eval": 100,
        "fvm_train": 200,
        "fvm_batch": 64,
        "mig_samples": 2_000,
        "sap_train": 2_000,
        "sap_test": 1_000,
        "dci_train": 1_000,
        "dci_test": 500,
        "dci_trees": 20,
    },
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_published_ones(name):
    fields = dataclasses.asdict(PROTOCOLS[name])
    assert {key: fields[key] for key in COUNTS[name]} == COUNTS[name]
    # m-FVM is also scored on as many fresh votes.
    assert fields["m_fvm_train"] == fields["m_fvm_eval"]


def test_protocols_are_found_by_name_and_passed_through():
    assert get_protocol("dlib") is PROTOCOLS["dlib"]
    assert get_protocol(PROTOCOLS["fast"]) is PROTOCOLS["fast"]


def test_unknown_names_get_the_choices_and_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown protocol 'oficial'.*did you mean 'off"
    ):
        get_protocol("oficial")
    with pytest.raises(ValueError, match=r"one of official, dlib, fast$"):
        get_protocol("xyz")
    with pytest.raises(
        ValueError, match=r"unknown metric 'm_fv'.*did you mean 'm_fvm'"
    ):
        get_metrics(["mig", "m_fv"])


def test_a_changed_protocol_says_so():
    assert PROTOCOLS["fast"].label == "fast"
    changed = dataclasses.replace(PROTOCOLS["fast"], mig_bins=10)
    assert changed.label == "fast (modified)"


def test_too_few_resamples_for_an_interval_are_refused():
    with pytest.raises(ValueError, match="bootstrap must be at least 2, not 1"):
        dataclasses.replace(PROTOCOLS["fast"], bootstrap=1)
    with pytest.raises(ValueError, match="refits must be at least 0, not -1"):
        dataclasses.replace(PROTOCOLS["fast"], refits=-1)


def test_a_protocol_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROTOCOLS["fast"].mig_bins = 10
