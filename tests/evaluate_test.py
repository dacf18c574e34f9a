"""Scores of arrays from elsewhere, and codes that are encoded once each."""

import json

import jax
import numpy as np
import pytest
import tiny

from cfasl_jax import evaluate
from cfasl_jax.encoding import Codes
from cfasl_jax.model import Model, section_generators


@pytest.fixture
def arrays(tmp_path):
    """Codes equal to the factors of a small full grid, as files."""
    sizes = (4, 5, 3)
    factors = np.indices(sizes).reshape(3, -1).T
    factors = np.tile(factors, (60, 1))
    rng = np.random.default_rng(0)
    codes = factors + 0.01 * rng.normal(size=factors.shape)
    np.save(tmp_path / "codes.npy", codes)
    np.save(tmp_path / "factors.npy", factors)
    return tmp_path


def run(folder, *arguments):
    return evaluate.main(
        [
            "evaluate",
            f"--codes={folder / 'codes.npy'}",
            f"--factors={folder / 'factors.npy'}",
            *arguments,
        ]
    )


def test_foreign_codes_are_scored(arrays, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(arrays / "cache"))
    output = arrays / "scores.json"
    code = run(arrays, "--protocol=fast", "--metrics=mig,sap", f"--output={output}")
    assert code == 0
    assert "mig" in capsys.readouterr().out
    scores = json.loads(output.read_text())["scores"]
    assert set(scores) == {"mig", "sap"}
    assert scores["mig"]["value"] > 0.9


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("codes", np.full((3600, 3), np.nan), "NaN"),
        ("codes", np.zeros((10, 3)), "10"),
        ("factors", np.zeros((3600, 3)), "integers"),
        ("factors", np.zeros((3600, 3), int), "value"),
    ],
)
def test_bad_arrays_get_one_sentence_and_code_2(arrays, capsys, name, array, message):
    np.save(arrays / f"{name}.npy", array)
    assert run(arrays, "--protocol=fast", "--metrics=mig") == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_missing_file_and_unknown_protocol(arrays, capsys):
    assert run(arrays, "--protocol=dlb") == 2
    assert "did you mean 'dlib'" in capsys.readouterr().err
    (arrays / "codes.npy").unlink()
    assert run(arrays) == 2
    assert "no file of codes" in capsys.readouterr().err


def test_codes_are_those_of_the_encoder_whatever_the_order():
    dataset, objective = tiny.dataset(), tiny.objective()
    params = objective.init(jax.random.key(0), dataset.image_shape)
    model = Model(objective, params, seed=4, step=0)
    indices = np.array([7, 3, 7, 19])
    expected = model.encode(dataset.images(indices))
    codes = Codes(model, dataset)
    np.testing.assert_allclose(codes.mean(indices), expected.mu, atol=1e-6)
    np.testing.assert_allclose(
        codes.posterior(indices).logvar, expected.logvar, atol=1e-6
    )
    z = codes.sample(indices)
    np.testing.assert_array_equal(z[0], z[2])
    again = Codes(model, dataset)
    np.testing.assert_array_equal(again.sample(indices[::-1]), z[::-1])
    eps = (z - expected.mu) / np.exp(expected.logvar / 2)
    assert np.abs(eps).max() < 5
    assert np.abs(eps).min() > 1e-4


def test_section_generator_is_what_elements_share_with_either_sign():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(2, 4, 4)).astype(np.float32)
    signs = np.array([[1, 1, -1], [-1, -1, -1]], np.float32)
    elements = signs[:, :, None, None] * common[:, None]
    got = section_generators(elements)
    np.testing.assert_allclose(np.abs(got), np.abs(common), rtol=1e-4)
    np.testing.assert_allclose(got[0], common[0], rtol=1e-4)
    np.testing.assert_allclose(got[1], -common[1], rtol=1e-4)


def test_losses_are_those_of_the_checkpoint_not_of_the_last_line(tmp_path):
    lines = [{"step": s, "loss": [s / 2, s / 4]} for s in (2, 4, 6)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text)
    assert evaluate._losses_at(tmp_path, 4) == {"loss": [2.0, 1.0]}
