"""results.json: whatever it holds, it is drawn or refused in one sentence."""

import copy
import json

import numpy as np
import pytest
import report_synthetic as synthetic

from cfasl_jax.errors import ConfigError
from cfasl_jax.report import runs, tables
from cfasl_jax.report.page import with_importance
from cfasl_jax.report.results import read_results

ODD = (None, [], {}, "x", -1, 0.5, float("nan"), True, [None], ["x"], {"mean": "x"})


_ORIGIN = synthetic.RESULTS["provenance"]
RESULTS = synthetic.RESULTS | {
    "provenance": {
        **_ORIGIN,
        "training": {**_ORIGIN, "resumed": [{**_ORIGIN, "step": 5}]},
    },
    "left_out": ["sap is not computed: too few images"],
    "runs": [
        {
            "protocol_fields": {"mig_bins": 20},
            "metrics": {"dci": {"importance": [[1.0]]}},
        }
    ],
}


def places(value, path=()):
    """The paths to every part of nested mappings and lists."""
    yield path
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, part in items:
        yield from places(part, (*path, key))


def replaced(whole, path, part):
    """A copy with the part at a path replaced."""
    if not path:
        return part
    whole = copy.deepcopy(whole)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = part
    return whole


def read(path):
    """What is read; None where it is refused, which takes one sentence."""
    try:
        return read_results(path)
    except ConfigError as error:
        (sentence,) = str(error).splitlines()
        assert sentence.startswith(f"{path} is damaged (")
        return None


def test_damaged_results_are_drawn_or_refused_in_one_sentence(tmp_path):
    """Every part replaced by every kind of value."""
    path = tmp_path / "results.json"
    run = synthetic.complete()
    outcomes = []
    for place in places(RESULTS):
        for odd in ODD:
            path.write_text(json.dumps(replaced(RESULTS, place, odd)))
            results = read(path)
            outcomes.append(results is not None)
            if results is None:
                continue
            runs.ranking(results)
            with_importance(run, results)
            tables.summary(results, synthetic.CONFIG)
            tables.rendered(results)
            tables.scores(results)
            tables.measures(results)
            tables.losses(results)
            tables.provenance(results)
            tables.citations(results, synthetic.CONFIG)
    assert 0.2 < np.mean(outcomes) < 0.8


def test_every_factor_must_have_a_value_where_any_has(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(RESULTS | {"factors": ["shape", "hue"]}))
    assert read(path) is None
    before = copy.deepcopy(RESULTS)  # as earlier versions wrote it
    del before["factors"], before["scores"]["mig"]["by_factor"]
    path.write_text(json.dumps(before))
    assert "by factor" not in tables.scores(read(path))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"step": 1}', "\x00"])
def test_what_is_no_results_json_is_refused(tmp_path, content):
    path = tmp_path / "results.json"
    assert read_results(path) is None
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"results\.json is damaged \("):
        read_results(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is damaged"):
        read_results(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="is damaged"):
        read_results(path)
