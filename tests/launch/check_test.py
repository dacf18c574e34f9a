"""What launch/tpu/check.py finds in a command before a slice is asked for."""

import subprocess

import fsspec
import pytest

from launch.tpu import check

RENDERED = "--config=configs/shapes3d.py:quick"
REAL = "--config=configs/cars3d.py"


def told(capsys, *arguments, accelerator="v6e-8"):
    """Exit code, and what goes to standard output and to standard error."""
    code = check.main(["check.py", accelerator, *arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ([RENDERED], ""),
        ([RENDERED, "--config.data.source=rendered", "--config.data.dir=/here"], ""),
        ([RENDERED, "--config.data.dir=gs://b/data"], "gs://b/data/shapes3d"),
        ([REAL, "--config.data.dir=gs://b/data/"], "gs://b/data/cars3d"),
        (
            [
                "--config=configs/smallnorb.py",
                "--config.data.convention=full",
                "--config.data.dir=gs://b",
            ],
            "gs://b/smallnorb-full",
        ),
        # A run that goes on has its configuration in the bucket.
        (["--workdir=gs://b/run", "--config.num_steps=9"], ""),
    ],
)
def test_a_sound_command_tells_what_it_needs(capsys, arguments, address):
    expected = f"{address}/manifest.json\n" if address else ""
    assert told(capsys, *arguments) == (0, expected, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([RENDERED, "--config.bteta=4"], "unknown field 'bteta'"),
        (["--config=configs/shape3d.py"], "did you mean 'configs/shapes3d.py'"),
        ([RENDERED, "--config.batch_size=7"], "batch_size must be even"),
        ([RENDERED, "--config.batch_size=24"], "a multiple of 16"),
        ([], "say what to train"),
        (["--help"], "--help starts no run"),
        (["--mode=analyze", "--compare=runs/a,runs/b"], "--compare reads finished"),
        (
            [REAL],
            "the slice has no copy of cars3d unless the command names one: put one",
        ),
        ([REAL, "--config.data.dir=/data"], "no copy of cars3d in /data"),
        ([REAL, "--config.data.path=/my/files"], "no copy of cars3d in /my/files"),
        ([REAL, "--config.data.dir=memory://none"], "cars3d in memory://none/cars3d"),
        ([REAL, "--config.data.dir=nowhere://x"], "nowhere://x/cars3d cannot be used"),
        ([REAL, "--config.data.source=rendered"], "cars3d cannot be rendered"),
        ([RENDERED, "--config.data.source=tfds"], "the slice has no copy of shapes3d"),
        (
            ["--config=configs/custom.py"],
            "no copy of custom unless the command names one",
        ),
    ],
)
def test_a_mistake_is_one_sentence(capsys, arguments, words):
    code, out, err = told(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("error: ") or "--help" in arguments


STUDY = "--study=configs/studies/dsprites.py:short"


def test_a_sound_study_is_told_so(capsys):
    assert told(capsys, STUDY, "--pack=4") == (0, "", "")
    assert told(capsys, STUDY, accelerator="v4-8") == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "accelerator", "words"),
    [
        ([STUDY], "v6e-16", "v6e-16 has several hosts"),
        ([STUDY + "er"], "v6e-8", "unknown preset 'shorter'"),
        ([STUDY, "--pak=4"], "v6e-8", "unrecognized arguments: --pak=4"),
        ([STUDY, "--dry-run"], "v6e-8", "--dry-run and --report train nothing"),
        (["--study=configs/studies/cars3d.py"], "v6e-8", "put 'data.dir': 'gs://"),
    ],
)
def test_a_mistaken_study_is_one_sentence(capsys, arguments, accelerator, words):
    code, out, err = told(capsys, *arguments, accelerator=accelerator)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["configs/paper.py", "configs/studies/dsprites.py"])
def test_a_study_that_is_not_committed_would_not_be_there(capsys, monkeypatch, name):
    monkeypatch.setattr(check, "_is_committed", lambda path: path != name)
    code, _, err = told(capsys, STUDY)
    assert code == 2
    assert f"{name} is not committed" in err


@pytest.mark.parametrize(
    ("accelerator", "pairs"),
    [("v2-8", 8), ("v3-32", 32), ("v4-32", 16), ("v5p-8", 4), ("v5litepod-16", 16)],
)
def test_every_device_of_a_type_gets_whole_pairs(capsys, accelerator, pairs):
    batch = f"--config.batch_size={2 * pairs}"
    assert told(capsys, RENDERED, batch, accelerator=accelerator)[0] == 0
    batch = f"--config.batch_size={3 * pairs}"
    code, _, err = told(capsys, RENDERED, batch, accelerator=accelerator)
    assert code == 2
    assert f"{pairs} devices of {accelerator}" in err


def test_a_file_that_is_not_committed_would_not_be_there(capsys, tmp_path, monkeypatch):
    project = tmp_path / "project"
    subprocess.run(["git", "init", "--quiet", project], check=True)
    (project / "configs").mkdir()
    mine = project / "configs" / "mine.py"
    mine.write_text((check.ROOT / "configs/shapes3d.py").read_text())
    monkeypatch.setattr(check, "ROOT", project)
    monkeypatch.chdir(project)
    for words in (["--config=configs/mine.py:quick"], ["--config", "configs/mine.py"]):
        code, _, err = told(capsys, *words)
        assert code == 2
        assert "configs/mine.py is not committed" in err


def test_data_that_gcloud_does_not_know_are_looked_for_here(capsys):
    with fsspec.open("memory://data/cars3d/manifest.json", "w") as file:
        file.write('{"name": "cars3d", "sha256": {"images.npy": ""}}')
    assert told(capsys, REAL, "--config.data.dir=memory://data") == (0, "", "")
