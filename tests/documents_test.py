"""The Markdown documents: their tables are complete, their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("launch/*.md")]
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_a_table_has_as_many_cells_as_its_heading(name):
    width = 0
    for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1):
        if not line.startswith("|"):
            width = 0
            continue
        assert line.endswith("|"), f"line {number}"
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        width = width or cells
        assert cells == width, f"line {number}"


@pytest.mark.parametrize("name", NAMES)
def test_links_to_files_lead_to_files(name):
    path = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target.split("#")[0]).exists(), target
