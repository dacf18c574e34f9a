"""Files are written completely or not at all, and nothing is left beside them."""

import json
from pathlib import Path

import pytest

from cfasl_jax import files


def test_the_cache_is_where_the_user_says(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert files.cache_directory() == Path("/somewhere/cfasl_jax")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert files.cache_directory() == Path.home() / ".cache/cfasl_jax"


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "\xff", "[" * 100_000])
def test_what_cannot_be_read_is_not_cached(tmp_path, content):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content, "latin-1")
    assert files.cached(path) is None
    path.write_text("{}")
    assert files.cached(path) == {}


def test_json_is_written_whole(tmp_path):
    path = tmp_path / "deep" / "file.json"
    files.write_json(path, {"a": [1, 2]})
    assert json.loads(path.read_text()) == {"a": [1, 2]}
    with pytest.raises(TypeError):
        files.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": [1, 2]}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_older_file(tmp_path, stop):
    path = tmp_path / "file"
    path.write_text("older")

    def write_half():
        with files.replacing(path) as temporary:
            temporary.write_text("half of a new")
            raise stop

    with pytest.raises(stop):
        write_half()
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_of_two_writers_each_writes_a_whole_file(tmp_path):
    path = tmp_path / "file"
    with files.replacing(path) as first, files.replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # whose context ended last


def test_an_error_names_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "results.json"
    with pytest.raises(OSError, match="File exists") as raised:
        files.write_json(path, {})
    assert raised.value.filename == str(path)
