"""Whose a working directory is, and what is written about a run."""

import json

import pytest
import tiny

from cfasl_jax.errors import ConfigError
from cfasl_jax.run import provenance


@pytest.fixture
def trained(tmp_path):
    """A working directory with a (pretended) first checkpoint."""
    provenance.claim(tmp_path, tiny.config(), "rendered")
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    return tmp_path


def test_the_same_configuration_comes_back(trained):
    provenance.claim(trained, tiny.config(), "rendered")
    assert provenance.stored_config(trained) == tiny.config()


def test_another_configuration_is_refused_and_named(trained):
    with pytest.raises(ConfigError) as caught:
        provenance.claim(trained, tiny.config(beta=4.0, seeds=(2,)), "rendered")
    message = str(caught.value)
    assert "beta is 1.0 there and 4.0 here" in message
    assert "seeds is [1] there and [2] here" in message
    assert "num_steps" not in message
    assert provenance.stored_config(trained) == tiny.config()


def test_another_data_source_is_refused(trained):
    with pytest.raises(ConfigError, match="'rendered' there and 'tfds' here"):
        provenance.claim(trained, tiny.config(), "tfds")


def test_a_run_may_be_prolonged(trained):
    provenance.claim(trained, tiny.config(num_steps=1000), "rendered")
    assert provenance.stored_config(trained).num_steps == 1000


def test_a_call_that_does_not_train_leaves_the_record(trained):
    before = (trained / "config.json").read_bytes()
    provenance.claim(trained, tiny.config(num_steps=1000), "rendered", trains=False)
    assert (trained / "config.json").read_bytes() == before
    with pytest.raises(ConfigError, match="beta"):
        provenance.claim(trained, tiny.config(beta=4.0), "rendered", trains=False)


def test_a_run_whose_schedule_spans_it_all_may_not(trained):
    before = tiny.config(objective="control_vae")
    (trained / "config.json").unlink()
    provenance.claim(trained, before, "rendered")
    longer = tiny.config(objective="control_vae", num_steps=1000)
    with pytest.raises(ConfigError, match="num_steps is 12 there and 1000 here"):
        provenance.claim(trained, longer, "rendered")


def test_a_call_that_failed_at_once_leaves_the_way_free(tmp_path):
    provenance.claim(tmp_path, tiny.config(batch_size=6), "rendered")
    provenance.claim(tmp_path, tiny.config(), "rendered")
    assert provenance.stored_config(tmp_path) == tiny.config()


@pytest.mark.parametrize("text", ['{"config": {', "{}", "[]"])
def test_a_damaged_record_gets_one_sentence(trained, text):
    (trained / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        provenance.stored_config(trained)
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        provenance.claim(trained, tiny.config(), "rendered")


def test_a_place_that_cannot_be_written_gets_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write into"):
        provenance.claim(tmp_path / "file" / "run", tiny.config(), "rendered")


def test_json_is_written_whole(tmp_path):
    path = tmp_path / "deep" / "file.json"
    provenance.write_json(path, {"a": [1, 2]})
    assert json.loads(path.read_text()) == {"a": [1, 2]}
    with pytest.raises(TypeError):
        provenance.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": [1, 2]}


def test_description():
    described = provenance.describe("rendered")
    assert described["data_source"] == "rendered"
    assert described["revision"]
    assert "cpu" in described["device"]
