"""The description of a data set; the module of each data set defines its entry."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from cfasl_jax.data.dataset import Contents, Dataset
from cfasl_jax.data.download import Archive
from cfasl_jax.data.recipe import DataFileError, Recipe
from cfasl_jax.errors import require_choice


@dataclasses.dataclass(frozen=True)
class Version:
    """One selection of a data set's images and factors.

    Attributes:
        contents: what it holds; None if this depends on the files.
        from_files: reads the authors' files: the only archive, or the folder that it
            unpacks to, or the folder that holds several archives. None for a data set
            that has no files and is only rendered.
        archives: the authors' files, all of which are needed.
        from_tfds: reads a copy of TensorFlow Datasets, given the folder of its version.
            None if this is not possible.
    """

    contents: Contents | None
    from_files: Callable[[Path], Recipe] | None = None
    archives: tuple[Archive, ...] = ()
    from_tfds: Callable[[Path], Recipe] | None = None


@dataclasses.dataclass(frozen=True)
class Entry:
    """A data set.

    Attributes:
        name: its name in a configuration and on the command line.
        label: its usual name in publications.
        page: the web page of its authors; "" for a user's own images, and for a data
            set that has no files.
        versions: versions by the name that `data.convention` gives them. If there is
            only one version, it is used for every convention.
        tfds: its name in TensorFlow Datasets; None if it is not there, or not used.
        twin: makes the rendered twin, that is, the same data set with images that are
            drawn on the device; None if there is no renderer.
    """

    name: str
    label: str
    page: str
    versions: Mapping[str, Version]
    tfds: str | None = None
    twin: Callable[[], Dataset] | None = None

    @property
    def published(self) -> bool:
        """Whether its files are published, in contrast to a user's own images."""
        return bool(self.page)

    def version(self, convention: str) -> Version:
        """The version that a convention means.

        Raises:
            ConfigError: if this data set has several versions, but none of this name.
        """
        if len(self.versions) == 1:
            return next(iter(self.versions.values()))
        require_choice(f"data.convention of {self.name}", convention, self.versions)
        return self.versions[convention]

    def reader(self, convention: str) -> Callable[[Path], Recipe]:
        """What makes a recipe of the files at a path, see `Version.from_files`.

        Raises:
            DataFileError: if this data set has no files.
        """
        from_files = self.version(convention).from_files
        if from_files is None:
            raise DataFileError(self.no_files)
        return from_files

    @property
    def no_files(self) -> str:
        """The message for a command that needs files of a data set without files."""
        return (
            f"{self.name} has no files, its images are only rendered: use "
            "data.source=rendered, and leave data.dir and data.path out"
        )

    def folder_name(self, convention: str) -> str:
        """The folder of a prepared copy: NAME, or NAME-CONVENTION if not the first."""
        if len(self.versions) == 1 or convention == next(iter(self.versions)):
            return self.name
        return f"{self.name}-{convention}"
