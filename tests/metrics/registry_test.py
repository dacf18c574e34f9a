import dataclasses

import pytest

from cfasl_jax.metrics import METRICS, PROTOCOLS, SCORES, get_metrics


def test_metrics_come_in_the_order_of_the_registry_whatever_is_asked_for():
    assert get_metrics(None) == tuple(METRICS)
    assert get_metrics(["irs", "mig"]) == ("mig", "irs")


def test_every_score_says_what_it_is():
    for name, score in SCORES.items():
        assert score.name == name
        if name != "udr":  # Of several runs, which is no business of a metric.
            assert score.reference == METRICS[score.metric].reference
        assert score.reference
        if score.variant_of:
            assert score.definition.startswith(SCORES[score.variant_of].label)
        assert not score.definition.endswith(".")
    labels = [score.label for score in SCORES.values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", METRICS)
def test_fields_that_a_metric_names_are_the_protocols(name):
    metric = METRICS[name]
    fields = {field.name for field in dataclasses.fields(PROTOCOLS["dlib"])}
    named = {*metric.counts, metric.floor_draws, metric.limit} - {None}
    assert named <= fields
    if metric.needs_factors:
        assert (metric.num_points(PROTOCOLS["dlib"]) == 0) == metric.votes
