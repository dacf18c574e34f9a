"""A figure or animation on disk, with its words."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

_INDEX = "index.json"


@dataclasses.dataclass(frozen=True)
class Plate:
    """A figure or animation on disk, with its words.

    Attributes:
      name: the file's stem.
      title: a few words.
      caption: what it shows and how to read it; z_1 stands for a subscript.
      image: the PNG or GIF for the page.
      inches: its width in print.
      group: the heading it stands under.
      key: whether pages about several runs show it.
    """

    name: str
    title: str
    caption: str
    image: Path
    inches: float
    group: str
    key: bool = False

    @property
    def moving(self) -> bool:
        """Whether this is an animation."""
        return self.image.suffix == ".gif"


def write_index(plates: Sequence[Plate], folder: Path) -> None:
    """Writes the words of all plates beside them, for pages that compare runs."""
    entries = [dataclasses.asdict(p) | {"image": p.image.name} for p in plates]
    (folder / _INDEX).write_text(json.dumps(entries, indent=1), encoding="utf-8")


def has_index(folder: Path) -> bool:
    """Tells whether a folder holds the figures of a report."""
    return (folder / _INDEX).exists()


def read_index(folder: Path) -> list[Plate]:
    """Reads the plates that `write_index` listed."""
    entries = json.loads((folder / _INDEX).read_text("utf-8"))
    return [Plate(**entry | {"image": folder / entry["image"]}) for entry in entries]
