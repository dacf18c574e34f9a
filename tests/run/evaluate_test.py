"""Scores of arrays from elsewhere, and codes that are encoded once each."""

import dataclasses
import errno
import json
from pathlib import Path

import jax
import metrics_reference
import numpy as np
import pytest
import tiny

from cfasl_jax import evaluate, metrics, objectives
from cfasl_jax.data.dataset import Labels
from cfasl_jax.metrics import suite
from cfasl_jax.metrics.points import UnavailableError
from cfasl_jax.run import evaluate as run_evaluate
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.model import Model, section_generators
from cfasl_jax.training import loop
from cfasl_jax.training.checkpoints import Checkpoints


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
        ("factors", np.full((3600, 3), "red"), "number the values of each factor"),
    ],
)
def test_bad_arrays_get_one_sentence_and_code_2(arrays, capsys, name, array, message):
    np.save(arrays / f"{name}.npy", array)
    assert run(arrays, "--protocol=fast", "--metrics=mig") == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed=-1"], "must be a whole number from 0 to 2,147,483,647, not '-1'"),
        (["--seed=x"], "not 'x'"),
        (["--protocol=DLIB"], "did you mean 'dlib'"),
        (["--metrics=MIG"], "did you mean 'mig'"),
        (["--output"], "--output: expected one argument"),
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--output=codes.npy/x.json"], "cannot write codes.npy/x.json"),
        (["--output=."], "cannot write .: it is a directory"),
    ],
)
def test_mistakes_on_the_command_line_get_one_sentence(
    arrays, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(arrays)
    assert run(arrays, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert {path.name for path in arrays.iterdir()} == {"codes.npy", "factors.npy"}


def test_scores_are_printed_where_they_cannot_be_stored(arrays, capsys, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    output = arrays / "deep" / "scores.json"
    arguments = ["--protocol=fast", "--metrics=sap", f"--output={output}"]
    assert run(arrays, *arguments) == 1
    printed = capsys.readouterr()
    assert "sap" in printed.out
    assert printed.err == f"error: cannot write {output}: No space left on device\n"


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
    np.testing.assert_allclose(
        codes.deviation(indices), np.exp(expected.logvar / 2), rtol=1e-5
    )
    again = Codes(model, dataset)
    np.testing.assert_array_equal(again.mean(indices[::-1]), codes.mean(indices)[::-1])


def test_section_generator_is_what_elements_share_with_either_sign():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(2, 4, 4)).astype(np.float32)
    signs = np.array([[1, 1, -1], [-1, -1, -1]], np.float32)
    elements = signs[:, :, None, None] * common[:, None]
    got = section_generators(elements)
    np.testing.assert_allclose(np.abs(got), np.abs(common), rtol=1e-4)
    np.testing.assert_allclose(got[0], common[0], rtol=1e-4)
    np.testing.assert_allclose(got[1], -common[1], rtol=1e-4)


def test_codes_without_factors_get_the_scores_that_need_none(arrays, capsys):
    codes = f"--codes={arrays / 'codes.npy'}"
    assert evaluate.main(["evaluate", codes, "--protocol=fast"]) == 0
    printed = capsys.readouterr().out
    assert "total" in printed
    assert "mig" not in printed
    assert evaluate.main(["evaluate", codes, "--metrics=mig"]) == 2
    assert "it needs the factors" in capsys.readouterr().err


def test_losses_are_those_of_the_checkpoint_not_of_the_last_line(tmp_path):
    lines = [{"step": s, "loss": [s / 2, s / 4]} for s in (2, 4, 6)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text)
    assert run_evaluate._losses_at(tmp_path, 4) == {"loss": [2.0, 1.0]}


CONFIG = tiny.config(seeds=(1, 2), cfasl=False)
FEW = dataclasses.replace(
    metrics.get_protocol("fast"), mig_samples=20, mig_bins=4, bootstrap=10
)


@pytest.fixture
def score(tmp_path, monkeypatch):
    """Evaluates two untrained runs on a data set -> what results.json holds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(objectives, "build", lambda *_: tiny.objective(cfasl=False))
    monkeypatch.setattr(metrics, "get_protocol", lambda _: FEW)
    state = loop.initial_state(CONFIG, tiny.objective(cfasl=False), tiny.dataset().spec)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        checkpoints.save(2, state.replace(step=state.step + 2))
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "loss": [5.0, 6.0]}\n')

    def run(dataset, *names):
        chosen = dataclasses.replace(CONFIG.eval, metrics=names or ("mig",))
        config = dataclasses.replace(CONFIG, eval=chosen)
        results = run_evaluate.evaluate(config, dataset, tmp_path)
        written = json.loads((tmp_path / "results.json").read_text())
        assert json.loads(json.dumps(results)) == written
        return written

    return run


def labelled(factors):
    factors = np.asarray(factors, np.int32)
    labels = Labels(tiny.GRID.names, tiny.GRID.sizes, factors)
    return dataclasses.replace(tiny.dataset(), grid=None, labels=labels)


def test_a_table_of_the_whole_grid_scores_as_the_grid(score):
    grid = score(tiny.dataset())
    factors = np.stack(np.unravel_index(np.arange(20), tiny.GRID.sizes), axis=1)
    table = score(labelled(factors))
    assert grid["left_out"] == table["left_out"] == []
    assert table["scores"]["mig"]["values"] == grid["scores"]["mig"]["values"]
    assert len(table["runs"]) == 2
    assert grid["factors"] == table["factors"] == list(tiny.GRID.names)
    of_runs = [run["scores"]["mig"]["by_factor"] for run in grid["runs"]]
    np.testing.assert_allclose(grid["scores"]["mig"]["by_factor"], np.mean(of_runs, 0))
    assert table["model"] == grid["model"]


def test_what_holes_and_repeats_do_not_allow_is_named(score, capsys):
    # Of images that share a value there are 5 or 10, and FVM wants more to draw from.
    factors = np.stack([np.arange(20) % 4, np.arange(20) // 4 % 2], axis=1)
    results = score(labelled(factors), "mig", "fvm")
    assert set(results["scores"]) == {"mig"}
    assert "8 of the 8 combinations" in results["left_out"][0]
    assert results["left_out"][1].startswith("fvm is not computed: ")
    assert len(results["left_out"]) == 2  # once, not once a run
    printed = capsys.readouterr().out
    assert printed.count(results["left_out"][0]) == 1
    assert "fvm: not computed" in printed
    assert "fvm is not computed" not in printed
    alone = score(labelled(factors), "fvm")
    assert "scores" not in alone
    assert "no metric can be computed" in alone["left_out"][-1]


def test_a_score_without_a_chance_floor_is_still_a_score(score, monkeypatch):
    def unlucky(*_):
        raise UnavailableError("drew only one value")

    monkeypatch.setattr(suite, "chance_floor", unlucky)
    mig = score(tiny.dataset())["scores"]["mig"]
    assert mig["chance"] is None
    assert None not in mig["values"]


def test_without_factors_there_are_the_scores_that_need_none(score, capsys):
    pictures = dataclasses.replace(tiny.dataset(), grid=None)
    results = score(pictures, "mutual_info_score", "mig")
    assert results["left_out"] == [
        "tiny has no ground-truth factors: there are only scores that need none",
        "mig is not computed: it needs the factors of the images",
    ]
    assert results["left_out"][0] in capsys.readouterr().out
    assert [model["active_dimensions"] for model in results["model"]] == [3, 3]
    assert results["losses"] == {"loss": [5.0, 6.0]}
    assert set(results["scores"]) == {"mutual_info_score"}
    # Both are of all 20 images, in whatever order.
    values = score(tiny.dataset(), "mutual_info_score")["scores"]["mutual_info_score"]
    np.testing.assert_allclose(
        results["scores"]["mutual_info_score"]["values"], values["values"]
    )


def test_a_model_is_measured_dimension_by_dimension(score):
    (model, _) = score(tiny.dataset())["model"]
    objective = tiny.objective(cfasl=False)
    state = loop.initial_state(CONFIG, objective, tiny.dataset().spec)
    params = jax.tree.map(lambda leaf: leaf[0], state.params)
    images = np.asarray(tiny.dataset().images(np.arange(20, dtype=np.int32)))
    loaded = Model(objective, params, seed=0, step=2)
    posterior = loaded.encode(images)
    decoded = np.float64(loaded.decode(posterior.mu))
    squares = [(255 * d - i) ** 2 for d, i in zip(decoded, images, strict=True)]
    assert model["pixel_error"] == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-5)
    mu = np.float64(posterior.mu)
    mean = [sum(column) / 20 for column in mu.T]
    squares = [
        sum((column - m) ** 2) / 20 for column, m in zip(mu.T, mean, strict=True)
    ]
    assert model["mean_per_dimension"] == pytest.approx(mean, rel=1e-5)
    assert model["std_per_dimension"] == pytest.approx(np.sqrt(squares), rel=1e-4)
    assert sum(model["kl_per_dimension"]) == pytest.approx(model["kl"])


def test_runs_that_differ_in_their_seed_get_their_udr(score, tmp_path, capsys):
    first, second = score(tiny.dataset())["model"]
    objective = tiny.objective(cfasl=False)
    state = loop.initial_state(CONFIG, objective, tiny.dataset().spec)
    images = np.asarray(tiny.dataset().images(np.arange(20, dtype=np.int32)))
    codes = []
    for run in range(2):
        params = jax.tree.map(lambda leaf, run=run: leaf[run], state.params)
        model = Model(objective, params, seed=0, step=2)
        codes.append(np.float64(model.encode(images).mu))
    expected = metrics_reference.udr_of_pair(*codes)
    assert first["udr"] == second["udr"] == pytest.approx(expected, abs=1e-6)
    assert f"UDR of seed 2: {expected:.4f}" in capsys.readouterr().out
    stored = np.load(tmp_path / "codes.npy")  # of all 20 images, in a random order
    np.testing.assert_allclose(np.sort(stored, 1), np.sort(codes, 1), rtol=1e-5)


def test_a_streamed_data_set_is_scored_as_a_resident_one(score, tmp_path):
    streamed = tiny.streamed(tmp_path / "images.npy")
    expected, got = score(tiny.dataset()), score(streamed)
    assert got["scores"]["mig"]["values"] == expected["scores"]["mig"]["values"]
    np.testing.assert_allclose(
        got["model"][0]["kl"], expected["model"][0]["kl"], rtol=1e-6
    )


def test_a_run_that_cannot_be_scored_keeps_its_place(score, monkeypatch):
    both = score(tiny.dataset())
    quick = run_evaluate.score_codes

    def only_the_second(codes, *rest):
        if codes.seed == 1:
            raise run_evaluate.NoScoresError("a value is too rare")
        return quick(codes, *rest)

    monkeypatch.setattr(run_evaluate, "score_codes", only_the_second)
    results = score(tiny.dataset())
    value = both["scores"]["mig"]["values"][1]
    assert results["scores"]["mig"]["values"] == [None, value]
    assert results["scores"]["mig"]["runs"] == 1
    assert [run["seed"] for run in results["runs"]] == [1, 2]
    assert results["runs"][1] == both["runs"][1] | {
        "seconds": results["runs"][1]["seconds"],
        "metrics": results["runs"][1]["metrics"],
    }
    assert results["runs"][0]["scores"] == {}
    assert results["runs"][0]["unavailable"] == {"mig": "no metric can score this run"}
    assert results["left_out"] == ["a value is too rare"]


@pytest.mark.parametrize("lacking", [1, 2])
def test_a_run_that_cannot_be_scored_along_the_way_has_no_number(monkeypatch, lacking):
    objective = tiny.objective(cfasl=False)
    monkeypatch.setattr(objectives, "build", lambda *_: objective)
    quick = run_evaluate.score_codes

    def only_the_other(codes, *rest, **more):
        if codes.seed == lacking:
            raise run_evaluate.NoScoresError("a value is too rare")
        return quick(codes, *rest, **more)

    state = loop.initial_state(CONFIG, objective, tiny.dataset().spec)
    monkeypatch.setattr(run_evaluate, "_QUICK", FEW)
    assert run_evaluate.scorer(CONFIG, tiny.dataset()) is None
    config = dataclasses.replace(CONFIG, eval=dataclasses.replace(CONFIG.eval, every=5))
    scored = run_evaluate.scorer(config, tiny.dataset())
    both = scored(state)
    assert np.isfinite(both["mig"]).all()
    monkeypatch.setattr(run_evaluate, "score_codes", only_the_other)
    found = scored(state)
    assert found.keys() == both.keys()
    assert np.isnan(found["mig"]).tolist() == [lacking == 1, lacking == 2]
    assert found["reconstruction"] == both["reconstruction"]


SAMPLED = dataclasses.replace(FEW, codes="sample")


def test_samples_are_scored_where_the_protocol_says_so(score, monkeypatch):
    means = score(tiny.dataset())["scores"]["mig"]["values"]
    monkeypatch.setattr(metrics, "get_protocol", lambda _: SAMPLED)
    results = score(tiny.dataset())
    assert results["scores"]["mig"]["values"] != means
    assert score(tiny.dataset())["scores"] == results["scores"]
    pictures = dataclasses.replace(tiny.dataset(), grid=None)
    name = "gaussian_total_correlation"
    drawn = score(pictures, name)
    assert score(pictures, name)["scores"] == drawn["scores"]
    monkeypatch.setattr(metrics, "get_protocol", lambda _: FEW)
    assert score(pictures, name)["scores"] != drawn["scores"]
