"""What was measured to be the fastest is found again, and nothing else is."""

import json

import jax
import pytest

from cfasl_jax import forms

CHOICES = ("matmul", "lax")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_without_a_measurement_the_usual_form_is_taken():
    assert forms.fastest("conv", CHOICES, "matmul") == "matmul"


def test_a_measurement_counts_for_its_kind_of_device_alone():
    path = forms.remember({"conv": "lax"})
    assert forms.fastest("conv", CHOICES, "matmul") == "lax"
    assert forms.fastest("expm", ("scipy", "taylor"), "taylor") == "taylor"
    kinds = json.loads(path.read_text())
    path.write_text(json.dumps({"another": kinds.pop(jax.devices()[0].device_kind)}))
    assert forms.fastest("conv", CHOICES, "matmul") == "matmul"
    forms.remember({"conv": "lax"})
    assert sorted(json.loads(path.read_text())) == ["another", "cpu"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"cpu": 3}', '{"cpu": {"conv": "x"}}']
)
def test_a_damaged_file_or_an_unknown_form_is_as_none(text):
    forms.remember({}).write_text(text)
    assert forms.fastest("conv", CHOICES, "matmul") == "matmul"
