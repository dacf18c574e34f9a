"""What the project knows of a data set; each data set's own module has its entry."""

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
        contents: what it holds; None where only the files can tell.
        from_files: reads the authors' files: the only archive, or the folder that it
            unpacks to, or the folder that holds several archives. None for a data set
            that has no files and is only rendered.
        archives: the authors' files, all of which are needed.
        from_tfds: reads a copy of TensorFlow Datasets, given the folder of its version.
    """

    contents: Contents | None
    from_files: Callable[[Path], Recipe] | None = None
    archives: tuple[Archive, ...] = ()
    from_tfds: Callable[[Path], Recipe] | None = None


@dataclasses.dataclass(frozen=True)
class Entry:
    """A data set.

    Attributes:
        name: as `dataset` of a configuration and the command line have it.
        label: what the field calls it.
        page: where its authors publish it; "" for a user's own images, and for a data
            set that has no files.
        versions: by the name of `data.convention`. A data set with one version has it
            under every convention.
        tfds: its name in TensorFlow Datasets; None where it is not there, or not used.
        twin: makes the data set that draws its images on the device, where there is
            one.
    """

    name: str
    label: str
    page: str
    versions: Mapping[str, Version]
    tfds: str | None = None
    twin: Callable[[], Dataset] | None = None

    @property
    def published(self) -> bool:
        """Whether its files are published, rather than a user's own."""
        return bool(self.page)

    def version(self, convention: str) -> Version:
        """The version that a convention means.

        Raises:
            ConfigError: where this data set has several, and none of this name.
        """
        if len(self.versions) == 1:
            return next(iter(self.versions.values()))
        require_choice(f"data.convention of {self.name}", convention, self.versions)
        return self.versions[convention]

    def read_files(self, path: Path, convention: str) -> Recipe:
        """A reading of the files at a path, see `Version.from_files`.

        Raises:
            DataFileError: where this data set has no files, or these are not its files.
        """
        from_files = self.version(convention).from_files
        if from_files is None:
            raise DataFileError(self.no_files)
        return from_files(path)

    @property
    def no_files(self) -> str:
        """A sentence for whoever asks for the files of a data set that has none."""
        return (
            f"{self.name} has no files, its images are only rendered: use "
            "data.source=rendered, and leave data.dir and data.path out"
        )

    def folder_name(self, convention: str) -> str:
        """Of a prepared copy: the name; "-CONVENTION" is added but for the first."""
        if len(self.versions) == 1 or convention == next(iter(self.versions)):
            return self.name
        return f"{self.name}-{convention}"
