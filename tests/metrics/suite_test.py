import dataclasses
import json

import metrics_reference as reference
import numpy as np
import pytest
from metrics_reference import TINY

from cfasl_jax.metrics import (
    METRICS,
    SCORES,
    Samples,
    Table,
    aggregate,
    format_scores,
    format_summary,
    score,
    score_arrays,
    score_unsupervised,
    votes,
)

SIZES = (4, 5, 3, 5)
FACTORS = reference.grid(SIZES)
CODES = reference.mixed(FACTORS)
ENCODE = reference.lookup(CODES, SIZES)
PROTOCOL = dataclasses.replace(TINY, dci_trees=2, chance_repeats=1)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chance")
    return score(ENCODE, SIZES, PROTOCOL, 3, cache_dir=folder, jobs=1)


def test_a_value_that_the_sample_misses_costs_only_the_scores_of_the_sample():
    """A rare value is in the images, and not among those that some metrics draw."""
    codes, rare = np.tile(CODES, (20, 1)), np.tile(FACTORS, (20, 1))
    rare[:, 2] = 0
    rare[:20, 2] = 1
    protocol = dataclasses.replace(PROTOCOL, min_distinct=1)
    found = [
        score_arrays(codes, rare, protocol, seed, metrics=["fvm", "mig"], chance=False)
        for seed in range(4)
    ]
    missed = [record for record in found if record["unavailable"]]
    assert missed
    for record in missed:
        assert "one value" in record["unavailable"]["mig"]


def test_every_metric_is_scored_with_what_it_depends_on(results):
    assert list(results["metrics"]) == list(METRICS)
    assert results["unavailable"] == {}
    beyond = {name for name in SCORES if name.startswith("m_fvm")}
    beyond -= {f"m_fvm_{k}{end}" for k in (2, 3) for end in ("", "_held_out")}
    beyond.add("udr")
    assert list(results["scores"]) == [name for name in SCORES if name not in beyond]
    for name, entry in results["scores"].items():
        assert np.isfinite(entry["value"])
        if METRICS[SCORES[name].metric].needs_factors:
            assert np.isfinite(entry["chance"])
        else:
            assert entry["chance"] is None
    assert results["protocol"] == "fast (modified)"
    assert results["protocol_fields"] == dataclasses.asdict(PROTOCOL)
    assert (results["seed"], results["dims"], results["active_dims"]) == (3, 5, 4)
    assert all(entry["seconds"] > 0 for entry in results["metrics"].values())


OF_FACTORS = (
    "fvm",
    "z_diff",
    "mig",
    "sap",
    "completeness",
    "informativeness_test",
    "explicitness",
    "infoe",
    "infoc",
)


def test_scores_that_are_means_over_factors_say_that_of_each(results):
    scores = results["scores"].items()
    found = {name: e["by_factor"] for name, e in scores if "by_factor" in e}
    assert tuple(found) == OF_FACTORS
    importance = np.maximum(results["metrics"]["dci"]["importance"], 0)
    weights = {"completeness": importance.sum(axis=0)}
    for name, values in found.items():
        value = results["scores"][name]["value"]
        assert len(values) == len(SIZES)
        assert np.ptp(values) > 0.01
        if name in ("fvm", "z_diff"):  # by the number of a factor's votes
            assert min(values) < value < max(values)
        else:
            mean = np.average(values, weights=weights.get(name))
            assert mean == pytest.approx(value, abs=1e-12)


# InfoC may be 1 for noise that only one dimension knows something of, by chance.
@pytest.mark.parametrize("name", OF_FACTORS[:-1])
def test_the_factor_that_codes_hold_has_the_highest_score(name):
    codes = reference.noise(FACTORS)
    codes[:, 1] = FACTORS[:, 2]
    encode = reference.lookup(codes, SIZES)
    metrics = [SCORES[name].metric]
    found = score(encode, SIZES, PROTOCOL, metrics=metrics, chance=False)
    others = found["scores"][name]["by_factor"]
    held = others.pop(2)
    assert held > max(others) + 0.1


def test_scores_by_factor_are_printed_under_names_or_numbers(results):
    numbered = "  ".join(f"factor {k}" for k in range(len(SIZES)))
    assert numbered in format_scores(results)
    named = format_scores(results | {"factors": ["a", "long_name", "b", "c"]})
    table = [line.split() for line in named[named.index("by factor") :].splitlines()]
    assert table[0] == ["by", "factor", "a", "long_name", "b", "c"]
    (row,) = (line for line in table if line[0] == "sap")
    values = results["scores"]["sap"]["by_factor"]
    assert row[1:] == [f"{value:.4f}" for value in values]


def test_results_can_be_written_as_json(results):
    assert json.loads(json.dumps(results))["scores"] == results["scores"]


def test_a_score_does_not_depend_on_the_other_metrics(results):
    alone = score(ENCODE, SIZES, PROTOCOL, 3, metrics=["sap", "m_fvm"], chance=False)
    for name, entry in alone["scores"].items():
        assert entry["value"] == results["scores"][name]["value"]
        assert entry["chance"] is None
    assert list(alone["metrics"]) == ["sap", "m_fvm"]


def test_another_seed_gives_other_scores(results):
    other = score(ENCODE, SIZES, PROTOCOL, 4, metrics=["mig", "fvm"], chance=False)
    assert other["scores"]["mig"]["value"] != results["scores"]["mig"]["value"]


def test_images_are_asked_for_in_few_large_batches():
    spy = reference.Spy(ENCODE)
    score(spy, SIZES, PROTOCOL, chance=False, jobs=1)
    # Points, z-diff, and the variances and votes of FVM and of m-FVM_2 and m-FVM_3.
    assert len(spy.calls) == 1 + 1 + 2 + 3


def test_z_diff_shares_the_images_of_the_points_where_it_is_confined():
    spy = reference.Spy(ENCODE)
    protocol = dataclasses.replace(
        PROTOCOL, z_diff_images=270, unsupervised_samples=200
    )
    score(spy, SIZES, protocol, metrics=["mig", "z_diff"], chance=False)
    (asked,) = spy.calls
    assert len(np.unique(asked, axis=0)) == len(asked) == 270


def test_images_of_the_points_are_distinct():
    spy = reference.Spy(ENCODE)
    protocol = dataclasses.replace(PROTOCOL, unsupervised_samples=200)
    score(spy, SIZES, protocol, metrics=["mig"], chance=False)
    (asked,) = spy.calls
    assert len(np.unique(asked, axis=0)) == len(asked) == 256


def test_active_dimensions_are_counted_on_the_means_where_given():
    protocol = dataclasses.replace(PROTOCOL, codes="sample")
    means = CODES * [1, 1, 0, 0, 0]
    options = {"metrics": ["mig"], "chance": False}
    plain = score(ENCODE, SIZES, protocol, **options)
    counted = score(ENCODE, SIZES, protocol, mean_codes=means, **options)
    assert (plain["active_dims"], counted["active_dims"]) == (4, 2)
    assert any("counted on samples" in note for note in plain["notes"])
    assert not any("counted on samples" in note for note in counted["notes"])


def test_samples_count_active_dimensions_on_their_means():
    means = Table(CODES * [1, 1, 0, 0, 0], FACTORS)
    deviations = Table(np.ones_like(CODES), FACTORS)
    drawn = Samples(means, deviations, reference.rng())
    options = {"metrics": ["mig", "m_fvm"], "chance": False}
    protocol = dataclasses.replace(PROTOCOL, codes="sample")
    found = score(drawn, SIZES, protocol, **options)
    assert found["active_dims"] == 2
    assert not any("counted on samples" in note for note in found["notes"])
    # The noise is that of `seed`, and no metric's depends on which others there are.
    again = score(drawn, SIZES, protocol, metrics=["m_fvm"], chance=False)
    assert again["scores"] == {
        name: entry
        for name, entry in found["scores"].items()
        if name.startswith("m_fvm")
    }
    other = score(drawn, SIZES, protocol, 1, **options)
    assert other["scores"]["mig"]["value"] != found["scores"]["mig"]["value"]


def test_samples_that_vary_within_an_image_do_not_look_fixed():
    """Of few distinct images, one sample each would seem to have a fixed dimension."""
    means = Table(np.zeros((len(FACTORS), 3)), FACTORS)
    drawn = Samples(means, Table(np.ones((len(FACTORS), 3)), FACTORS), reference.rng())
    fixed = np.tile([True] * (len(SIZES) - 1) + [False], (40, 1))
    within, _ = votes.within_variances(
        drawn, fixed, 400, 20, PROTOCOL, reference.rng(), "m-FVM"
    )
    # The variance of 400 normal numbers has a standard deviation of sqrt(2 / 399).
    assert np.abs(within - 1).max() < 6 * np.sqrt(2 / 399)


def test_codes_without_factors_get_the_scores_that_need_none(results):
    found = score_unsupervised(CODES, PROTOCOL, 3)
    names = [name for name, metric in METRICS.items() if not metric.needs_factors]
    assert list(found["metrics"]) == names
    assert found["dims"] == 5
    assert found["active_dims"] == 4
    # There are fewer images than the protocol asks for: all are scored, in any order.
    assert found["warnings"] == ["scores of 300 images, where 2000 are asked for"]
    assert "note: scores of 300 images" in format_scores(found)
    assert found["scores"]["mutual_info_score"]["value"] > 0.1
    copies = score_unsupervised(np.tile(CODES[:, :1], 2), PROTOCOL)
    assert "infinite" in copies["unavailable"]["gaussian_total_correlation"]
    with pytest.raises(ValueError, match=r"shape \[N, D\], got \(300,\)"):
        score_unsupervised(CODES[:, 0], PROTOCOL)


def test_progress_is_reported():
    names = []
    score(
        ENCODE,
        SIZES,
        PROTOCOL,
        metrics=["irs", "mig"],
        chance=False,
        report=names.append,
    )
    assert names == ["mig", "irs"]


def test_arrays_score_like_the_grid_where_they_hold_it():
    options = {"chance": False, "metrics": ["fvm", "z_diff", "m_fvm", "modularity"]}
    on_grid, in_table = [], []
    for seed in range(12):
        results = score(ENCODE, SIZES, PROTOCOL, seed, **options)
        stored = score_arrays(CODES, 3 * FACTORS + 1, PROTOCOL, seed, **options)
        for found, into in ((results, on_grid), (stored, in_table)):
            into.append([entry["value"] for entry in found["scores"].values()])
    assert stored["codes"] == "as given"
    assert stored["sizes"] == list(SIZES)
    # Both draw alike, though not the same images: equal means up to sampling.
    spread = np.std([on_grid, in_table], axis=1, ddof=1)
    error = np.sqrt((spread**2).sum(axis=0) / 12)
    difference = np.mean(on_grid, axis=0) - np.mean(in_table, axis=0)
    assert np.all(np.abs(difference) < 4 * error)
    assert np.all(error < 0.04)


def test_metrics_that_the_rows_do_not_allow_are_named_with_the_reason():
    rows = reference.rng().permutation(300)[:260]
    thinned = score_arrays(
        CODES[rows],
        FACTORS[rows],
        PROTOCOL,
        metrics=["mig", "fvm", "m_fvm"],
        chance=False,
    )
    assert set(thinned["metrics"]) == {"mig", "fvm"}
    assert "some values leave" in thinned["unavailable"]["m_fvm"]
    assert "m_fvm: not computed, with the factors" in format_scores(thinned)


def test_what_several_metrics_warn_of_is_said_once():
    names = [name for name, metric in METRICS.items() if not metric.needs_factors]
    few = score_arrays(CODES, FACTORS, PROTOCOL, metrics=names)
    assert len(names) == 3
    assert few["warnings"] == ["scores of 300 images, where 2000 are asked for"]


def test_scores_without_factors_get_as_many_images_as_they_ask_for():
    protocol = dataclasses.replace(PROTOCOL, unsupervised_samples=280)
    found = score(ENCODE, SIZES, protocol, metrics=["mutual_info_score"])
    assert found["warnings"] == []


def test_arrays_that_allow_nothing_are_refused():
    rows = reference.rng().permutation(300)[:200]
    with pytest.raises(
        ValueError, match=r"no metric can be computed .*m_fvm: with the"
    ):
        score_arrays(CODES[rows], FACTORS[rows], PROTOCOL, metrics=["m_fvm"])


def test_fewer_rows_than_the_protocol_needs_are_refused():
    with pytest.raises(
        ValueError, match=r"dlib needs 15000 rows, got 300.*than mig, sap"
    ):
        score_arrays(CODES, FACTORS)
    with pytest.raises(ValueError, match="needs 256 rows, got 255"):
        score_arrays(CODES[:255], FACTORS[:255], PROTOCOL, metrics=["mig"])


def test_bad_arrays_and_names_are_refused():
    with pytest.raises(ValueError, match="factors must be integers, got float64"):
        score_arrays(CODES, FACTORS.astype(float), PROTOCOL)
    with pytest.raises(ValueError, match="did you mean 'irs'"):
        score_arrays(CODES, FACTORS, PROTOCOL, metrics=["iris"])
    with pytest.raises(ValueError, match="did you mean 'dlib'"):
        score_arrays(CODES, FACTORS, "dlip")
    with pytest.raises(ValueError, match="no metrics chosen"):
        score(ENCODE, SIZES, PROTOCOL, metrics=[])


def test_repeated_rows_are_noted():
    codes, factors = np.tile(CODES, (2, 1)), np.tile(FACTORS, (2, 1))
    twice = score_arrays(codes, factors, PROTOCOL, metrics=["mig"], chance=False)
    assert any("300 rows repeat another row" in note for note in twice["notes"])
    once = score_arrays(CODES, FACTORS, PROTOCOL, metrics=["mig"], chance=False)
    assert not any("repeat another" in note for note in once["notes"])


def test_tables_name_every_score(results):
    text = format_scores(results)
    assert all(f"\n{name} " in text for name in results["scores"])
    assert "protocol fast (modified), codes mean, seed 3, 4 of 5 dimensions" in text
    summary = format_summary(aggregate([results, results]))
    assert all(f"\n{name} " in summary for name in results["scores"])
    mig = {"mean": 0.2, "std": 0.1, "interval": [0.05, 0.35], "runs": 4, "chance": None}
    assert format_summary({"mig": mig}).splitlines() == [
        "score     mean      std       95% interval  runs   chance",
        "mig     0.2000   0.1000   0.0500 to 0.3500     4        -",
    ]


def test_arrays_in_fortran_order_score_as_in_c_order():
    options = {"metrics": ["mig"], "chance": False}
    expected = score_arrays(CODES, FACTORS, PROTOCOL, **options)
    columns = (np.asfortranarray(CODES), np.asfortranarray(FACTORS))
    assert score_arrays(*columns, PROTOCOL, **options)["scores"] == expected["scores"]


def test_floor_of_elections_is_that_of_as_many_dimensions_of_noise(tmp_path):
    options = {"metrics": ["m_fvm", "mig"], "cache_dir": tmp_path}
    collapsed = np.concatenate([CODES[:, :2], np.zeros((len(CODES), 3))], axis=1)
    got = score_arrays(collapsed, FACTORS, PROTOCOL, **options)
    # Of two active dimensions there is one pair, which any vote elects.
    assert got["scores"]["m_fvm_2"]["value"] == 1.0
    assert got["scores"]["m_fvm_2"]["chance"] == 1.0
    assert got["scores"]["m_fvm_3"]["chance"] == 0.0
    assert "note: exactly 2 active dimensions" in format_scores(got)
    nothing = score_arrays(0 * CODES, FACTORS, PROTOCOL, **options)
    assert nothing["scores"]["m_fvm_2"]["chance"] is None


def test_runs_of_other_protocols_or_grids_are_not_averaged(results):
    fields = {**results["protocol_fields"], "mig_bins": 7}
    with pytest.raises(ValueError, match="one protocol: mig_bins differ"):
        aggregate([results, {**results, "protocol_fields": fields}])
    with pytest.raises(ValueError, match="one protocol: sizes differ"):
        aggregate([results, {**results, "sizes": [4, 5]}])


def test_runs_stored_by_another_version_are_averaged(results):
    fields = {**results["protocol_fields"], "gone_by_now": 7}
    del fields["mig_bins"]
    older = {**results, "protocol_fields": fields}
    assert aggregate([older, results])["mig"]["runs"] == 2
