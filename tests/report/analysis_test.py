"""The file that the report is drawn from: what it holds, and what it refuses."""

import json
import os

import numpy as np
import pytest
import report_synthetic as synthetic

from cfasl_jax.report import analysis

WHOLE = synthetic.complete()
BELONGS = {"step": 5, "seeds": [1], "config": {"beta": 4.0}}


def save(folder, *runs):
    analysis.save(folder / analysis.FILE, runs, BELONGS)
    return folder / analysis.FILE


def test_what_is_saved_is_loaded(tmp_path):
    other = synthetic.baseline(run=3, label="seed 9", lacking={"grid": "No grid."})
    path = save(tmp_path, WHOLE, other)
    first, second = analysis.load(path, BELONGS)
    assert (second.run, second.label, second.lacking) == (3, "seed 9", other.lacking)
    for run, loaded in ((WHOLE, first), (other, second)):
        assert run.arrays.keys() == loaded.arrays.keys()
        for name, array in run.arrays.items():
            np.testing.assert_array_equal(loaded.arrays[name], array, name)
            assert loaded.arrays[name].dtype == array.dtype
    assert list(tmp_path.iterdir()) == [path]


def test_parts_come_in_order_without_their_name():
    run = synthetic.baseline(**analysis.numbered("explorer/layers", [{"kind": "lie"}]))
    assert str(run.parts("explorer/layers")[0]["kind"]) == "lie"
    steps = WHOLE.parts("factor_steps")
    assert [str(step["factor"]) for step in steps] == list(synthetic.FACTORS)
    assert set(WHOLE.part("walk")) == {"x1", "x2", "frames", "dimensions"}
    assert WHOLE.part("absent") == {}


@pytest.mark.parametrize(
    "belongs_to", [BELONGS | {"step": 6}, BELONGS | {"config": {"beta": 1.0}}]
)
def test_an_analysis_of_something_else_is_not_taken(tmp_path, belongs_to):
    path = save(tmp_path, synthetic.baseline())
    assert analysis.load(path, BELONGS) is not None
    assert analysis.load(path, belongs_to) is None
    # A field that did not exist yet when the analysis was made.
    later = BELONGS | {"config": {"beta": 4.0, "new": 1}}
    assert analysis.load(path, later) is not None


def rewrite(path, **header):
    """Change what the file's header says."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    words = json.loads(str(arrays["header"])) | header
    arrays["header"] = np.array(json.dumps(words))
    np.savez(path, **arrays)


def test_a_file_of_another_format_is_made_anew(tmp_path):
    path = save(tmp_path, synthetic.baseline())
    rewrite(path, format=analysis.FORMAT)
    assert analysis.load(path, BELONGS) is not None
    rewrite(path, format=analysis.FORMAT + 1)
    assert analysis.load(path, BELONGS) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:2000]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"\x00", b"\x01")),
        lambda path: np.save(path.open("wb"), np.ones(3)),
        lambda path: rewrite(path, runs=[{"run": 0}]),
        lambda path: rewrite(path, runs=None),
    ],
)
def test_a_damaged_file_is_made_anew(tmp_path, damage):
    path = save(tmp_path, synthetic.baseline())
    damage(path)
    assert analysis.load(path, BELONGS) is None


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("traversals/kl", np.ones(4), r"shape \(4,\), not \[D\] with D = 3"),
        ("traversals/kl", np.ones((3, 1)), r"shape \(3, 1\), not \[D\]"),
        ("reconstructions/decoded", np.ones((5, 8, 8, 3)), "H = 64"),
        ("codebook/cosine", np.ones((2, 3)), "codebook/cosine"),
        ("factor_steps/0/values", np.ones((2, 2)), "factor_steps/0/values"),
        ("traversals/speed", np.ones(3), "no array called 'traversals/speed'"),
    ],
)
def test_wrong_arrays_are_named(name, array, message):
    with pytest.raises(ValueError, match=message):
        synthetic.baseline(**{name: array})


def test_active_dimensions_come_first_by_decreasing_kl():
    kl = np.array([1.0, 9.0, 3.0, 2.0])
    active = np.array([True, False, True, True])
    np.testing.assert_array_equal(analysis.kl_order(kl, active), [2, 3, 0, 1])
