"""The whole way: from the command line to scores and a report.

With the real networks, narrow ones: what takes the time is compiling and drawing.
"""

import json
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

import cfasl_jax
from cfasl_jax import main
from cfasl_jax.run import evaluate, probes
from cfasl_jax.training import loop

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Chance floors and the like of this test alone; fewer images to encode."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(evaluate, "_SAMPLE", 256)
    monkeypatch.setattr(probes, "_CODES", 256)


def run(name, workdir, *arguments):
    config = ROOT / "configs" / f"{name}.py"
    return main.main(
        ["main", f"--config={config}:quick", f"--workdir={workdir}", *arguments]
    )


SMALL = [
    "--config.num_steps=4",
    "--config.log_every=2",
    "--config.checkpoint.every=2",
    "--config.batch_size=16",
    "--config.latent_dim=3",
    "--config.hidden=16",
    "--config.codebook.elements=2",
    '--config.eval.metrics=("mig", "sap")',
]


def test_dsprites_with_cfasl_from_command_to_report(tmp_path, capsys):
    workdir = tmp_path / "run"
    assert run("dsprites", workdir, *SMALL, "--config.seeds=(1,2)") == 0
    printed = capsys.readouterr().out
    assert "dsprites: 737,280 images, rendered" in printed
    assert "report: " in printed

    written = json.loads((workdir / "config.json").read_text())
    assert written["config"]["seeds"] == [1, 2]
    assert written["provenance"]["data_source"] == "rendered"
    assert set(written["provenance"]["packages"]) >= {"jax", "flax", "numpy"}

    results = json.loads((workdir / "results.json").read_text())
    assert results["step"] == 4
    assert results["provenance"]["data_source"] == "rendered"
    assert len(results["losses"]["parallel"]) == 2
    assert results["protocol"] == "fast"
    mig = results["scores"]["mig"]
    assert len(mig["values"]) == 2
    np.testing.assert_allclose(mig["mean"], np.mean(mig["values"]))
    assert 0 <= mig["chance"] < 0.1
    assert len(results["model"]) == 2

    page = (workdir / "report.html").read_text()
    assert "Rendered data" in page
    for name in ("reconstructions", "traversals", "composition", "losses"):
        assert (workdir / "figures" / f"{name}.png").stat().st_size > 1000

    loaded = cfasl_jax.load(workdir, run=1)
    z = np.zeros((5, 3), np.float32)
    images = loaded.decode(z)
    assert images.shape == (5, 64, 64, 1)
    assert loaded.encode(images).mu.shape == (5, 3)
    assert loaded.transform(z + 1, section=2, amount=0.5).shape == (5, 3)
    assert loaded.symmetry(images, images).generator.shape == (5, 3, 3)
    with pytest.raises(ValueError, match="no run 2"):
        cfasl_jax.load(workdir, run=2)

    # The directory belongs to that configuration now.
    assert run("dsprites", workdir, *SMALL, "--config.beta=4") == 2
    error = capsys.readouterr().err
    assert "beta is 1.0 there and 4.0 here" in error
    assert "seeds is" in error
    assert "Traceback" not in error


def test_shapes3d_baseline_trains_and_reports(tmp_path, capsys):
    workdir = tmp_path / "run"
    arguments = [*SMALL, "--config.cfasl=False", "--config.num_steps=2"]
    assert run("shapes3d", workdir, *arguments) == 0
    results = json.loads((workdir / "results.json").read_text())
    logged = {"loss", "reconstruction", "kl", "gradient_norm"}
    assert set(results["losses"]) == logged
    assert not (workdir / "figures" / "composition.png").exists()
    assert (workdir / "report.html").exists()
    with pytest.raises(ValueError, match="a baseline has no symmetry codebook"):
        cfasl_jax.load(workdir).generators()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode=evaluate"], "holds no checkpoint yet: train first"),
        (["--config.batch_size=12"], "4 devices do not divide"),
        (["--config.data.source=tfds", "--config.data.dir=/none"], "dsprites"),
        (["--mode=analyse"], "did you mean 'analyze'"),
    ],
)
def test_mistakes_end_with_one_sentence_and_code_2(
    tmp_path, capsys, arguments, message
):
    assert run("dsprites", tmp_path / "run", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1


def test_a_directory_without_a_run_is_refused(tmp_path, capsys):
    assert main.main(["main", f"--workdir={tmp_path}", "--mode=analyze"]) == 2
    assert "holds no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [OSError("no such host"), jax.errors.JaxRuntimeError("connection closed")]
)
def test_one_of_several_processes_that_fails_leaves_at_once(monkeypatch, capsys, error):
    """An ordinary exit would wait for the others, which wait for its next step."""

    def fail(_):
        raise error

    codes = []
    monkeypatch.setattr(main, "_run", fail)
    monkeypatch.setattr(main.devices, "leave", codes.append)
    with pytest.raises(type(error)):
        main.main(["main"])
    assert codes == []
    monkeypatch.setattr(main.devices, "has_joined", lambda: True)
    assert main.main(["main"]) == 1
    assert codes == [1]
    assert "start all of them again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "left"),
    [
        (loop.InterruptedRunError("stopped", signal.SIGINT), 130, []),  # so do all
        (KeyboardInterrupt(), 130, [130]),
        (SystemExit(143), 143, [143]),
    ],
)
def test_a_process_that_is_stopped_waits_for_others_that_stop_too(
    monkeypatch, error, code, left
):
    def stop(_):
        raise error

    codes = []
    monkeypatch.setattr(main, "_run", stop)
    monkeypatch.setattr(main.devices, "leave", codes.append)
    assert main.main(["main"]) == code
    assert codes == left


@pytest.mark.parametrize("mode", ["evaluate", "analyze"])
def test_one_process_scores_and_draws(monkeypatch, tmp_path, mode):
    monkeypatch.setattr(main.devices, "is_first_process", lambda: False)
    assert main.main(["main", f"--workdir={tmp_path}", f"--mode={mode}"]) == 0
    monkeypatch.undo()
    assert main.main(["main", f"--workdir={tmp_path}", f"--mode={mode}"]) == 2
