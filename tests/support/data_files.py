"""What the tests of data files share."""

import pytest

from cfasl_jax.data.recipe import DataFileError, read


def write_folder(path, files):
    """A folder of files, given by name with their contents."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def error(recipe, *arguments):
    """The sentence with which a recipe, or the reading of it, is refused."""
    with pytest.raises(DataFileError) as caught:
        read(recipe(*arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)
