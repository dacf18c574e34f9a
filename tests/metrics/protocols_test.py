import dataclasses

import metrics_reference as reference
import pytest

from cfasl_jax.metrics import METRICS, PROTOCOLS, get_metrics, get_protocol, score

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
        "explicitness_normalized": False,
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
        "explicitness_normalized": True,
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


# Another value of each field, with the metrics whose scores or intervals it changes.
# All metrics have the same confidence; "codes" is tested with the codes of models, and
# the repeats with chance floors.
CHANGES = {
    "z_diff_train": (100, ["z_diff"]),
    "z_diff_eval": (30, ["z_diff"]),
    "z_diff_batch": (8, ["z_diff"]),
    "z_diff_max_iter": (1, ["z_diff"]),
    "z_diff_images": (100, ["z_diff"]),
    "fvm_train": (60, ["fvm"]),
    "fvm_eval": (30, ["fvm"]),
    "fvm_batch": (4, ["fvm"]),
    "fvm_variance_samples": (20, ["fvm", "m_fvm"]),
    "fvm_scored_on": ("own", ["fvm"]),
    "prune_std": (0.9, ["fvm", "m_fvm"]),
    "m_fvm_train": (60, ["m_fvm"]),
    "m_fvm_eval": (30, ["m_fvm"]),
    "m_fvm_batch": (4, ["m_fvm"]),
    "m_fvm_ks": ((2,), ["m_fvm"]),
    "min_distinct": (200, ["z_diff", "fvm", "m_fvm"]),
    "mig_samples": (128, ["mig"]),
    "mig_bins": (4, ["mig", "modularity", "mutual_info_score"]),
    "sap_train": (100, ["sap"]),
    "sap_test": (60, ["sap"]),
    "sap_c": (1e-6, ["sap"]),
    "dci_train": (100, ["dci"]),
    "dci_test": (60, ["dci"]),
    "dci_trees": (2, ["dci"]),
    "modularity_samples": (128, ["modularity"]),
    "explicitness_train": (100, ["explicitness"]),
    "explicitness_test": (60, ["explicitness"]),
    "explicitness_normalized": (True, ["explicitness"]),
    "infomec_train": (100, ["infomec"]),
    "infomec_test": (60, ["infomec"]),
    "infomec_neighbors": (6, ["infomec"]),
    "infomec_active_share": (0.9, ["infomec"]),
    "infomec_max_iter": (1, ["infomec"]),
    "unsupervised_samples": (
        128,
        [name for name, metric in METRICS.items() if not metric.needs_factors],
    ),
    "irs_samples": (128, ["irs"]),
    "irs_bins": (2, ["irs"]),
    "irs_quantile": (0.5, ["irs"]),
    "bootstrap": (12, ["fvm", "mig", "explicitness"]),
    "refits": (2, ["z_diff"]),
    "confidence": (0.5, list(METRICS)),
}


@pytest.fixture(scope="module")
def scored():
    """Scores and intervals by one metric under a protocol, computed once."""
    sizes, known = (4, 5, 3, 5), {}
    codes = reference.mixed(reference.grid(sizes)) * [1.0, 0.3, 1.0, 1.0, 1.0]
    encode = reference.lookup(codes, sizes)

    def found(protocol, metric):
        if (protocol, metric) not in known:
            try:
                record = score(
                    encode, sizes, protocol, 3, metrics=[metric], chance=False, jobs=1
                )
                known[protocol, metric] = record["scores"]
            except ValueError as error:
                known[protocol, metric] = str(error)
        return known[protocol, metric]

    return found


@pytest.mark.parametrize(
    ("name", "value", "metric"),
    [(name, value, m) for name, (value, names) in CHANGES.items() for m in names],
)
def test_every_field_is_read(name, value, metric, scored):
    changed = dataclasses.replace(reference.TINY, **{name: value})
    assert scored(changed, metric) != scored(reference.TINY, metric)


def test_no_field_is_left_out():
    fields = {field.name for field in dataclasses.fields(reference.TINY)}
    repeats = {name for name in fields if name.startswith("chance_repeats")}
    assert CHANGES.keys() == fields - repeats - {"name", "codes"}


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
    for name, least in (("fvm_eval", 1), ("mig_samples", 16)):
        with pytest.raises(ValueError, match=f"{name} must be at least {least}, not 0"):
            dataclasses.replace(PROTOCOLS["fast"], **{name: 0})


def test_a_protocol_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROTOCOLS["fast"].mig_bins = 10
