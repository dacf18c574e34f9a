"""The list of all figures of a run, with their arrays, captions and files."""

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cfasl_jax.report import curves, image_figures, latent_figures
from cfasl_jax.report.analysis import Run
from cfasl_jax.report.names import spaced
from cfasl_jax.report.style import paper_style, save

_INDEX = "index.json"
_MOST_LETTERS = 40

_MODEL = "What the model draws"
_SYMMETRIES = "Symmetries"
_LATENT = "Latent space"
_CODEBOOK = "Codebook"


@dataclasses.dataclass(frozen=True)
class FigureType:
    """A figure of the report.

    Attributes:
        group: the heading it stands under.
        part: the part of the analysis from which it is drawn; "NAME/*" stands for one
            figure for each of the parts NAME/0, NAME/1, ...
        name: name of its files; {factor} stands for the factor of the part.
        title: a few words; {factor} as above.
        caption: what it shows and how to read it; z_1 is shown with a subscript.
        draw: makes the figure from the part's arrays.
        needs: the things that a run must have for it, as keys of `Run.lacking`.
        key: whether a page about several trainings shows it.
        further: the caption of all parts' figures but the first; {first} stands for
            that one's title, {factor} as above.
    """

    group: str
    part: str
    name: str
    title: str
    caption: str
    draw: Callable[[Mapping[str, np.ndarray]], Figure]
    needs: tuple[str, ...] = ()
    key: bool = False
    further: str = ""


FIGURES = (
    FigureType(
        _MODEL,
        "reconstructions",
        "reconstructions",
        "Reconstructions",
        "Random images above what the model decodes from their posterior means. "
        "Whatever is lost here cannot be disentangled.",
        image_figures.reconstructions,
        key=True,
    ),
    FigureType(
        _MODEL,
        "traversals",
        "traversals",
        "Latent traversals",
        "One example; in each row a single latent dimension is set to the value above "
        "the column and the others are kept. Rows are ordered by the mean KL of the "
        "dimension's posterior from the prior, in nats. A disentangled dimension "
        "changes one factor; a greyed row is inactive: its posterior has "
        "collapsed onto the prior.",
        image_figures.traversals,
        key=True,
    ),
    FigureType(
        _SYMMETRIES,
        "composition",
        "composition",
        "Composite symmetry",
        "A pair of images in each column. The symmetry g_c predicted from the pair "
        "acts on z_1; decoded, the third row should show what the fourth does.",
        image_figures.composition,
        ("codebook", "pairs"),
        key=True,
    ),
    FigureType(
        _SYMMETRIES,
        "sections",
        "sections",
        "Composite symmetry, section by section",
        "From z_1, one section of the codebook after another is added to the "
        "exponent. A bar below an image marks a step whose section is predicted to be "
        "switched on; if sections are factors, each bar stands for one change.",
        image_figures.sections,
        ("codebook", "pairs"),
        key=True,
    ),
    FigureType(
        _SYMMETRIES,
        "walk",
        "walk",
        "Largest-KL walk",
        "From z_1 to z_2 without symmetries: one dimension after another is taken "
        "from z_2, the largest KL first. Any model can do this: the yardstick for "
        "the composite symmetry.",
        image_figures.walk,
        ("pairs",),
        key=True,
    ),
    FigureType(
        _SYMMETRIES,
        "factor_steps/*",
        "steps_{factor}",
        "Stepping {factor}",
        "The factor runs through evenly spread values, the others stay. Symmetries are "
        "predicted from each step: one-shot applies a step's symmetry to the image "
        "before, chained applies all of them one after another to the first, so that "
        "errors add up.",
        image_figures.factor_steps,
        ("codebook", "grid"),
        further="The factor {factor} runs through evenly spread values, the others "
        "stay; the rows are those of {first}.",
    ),
    FigureType(
        _SYMMETRIES,
        "section_action",
        "section_action",
        "Each section acting alone",
        "One example under expm(amount G_s), one row for each section. A section that "
        "has learned a factor changes that factor alone.",
        image_figures.section_action,
        ("codebook",),
    ),
    FigureType(
        _LATENT,
        "posteriors",
        "posteriors",
        "Posteriors by dimension",
        "Left, where the posterior means of random images lie: half of them within the "
        "thick line, nine tenths within the thin one, the median at the dot; pale, a "
        "typical posterior deviation to both sides of it. Right, the mean KL from the "
        "prior. A dimension whose means hardly vary says nothing about the image; if "
        "it has KL nevertheless, the model uses it as a constant.",
        latent_figures.posteriors,
        key=True,
    ),
    FigureType(
        _LATENT,
        "codes",
        "scatter",
        "Latent space",
        "Posterior means of a sample, in the most informative dimensions, "
        "chosen once for all panels; each panel is coloured by one factor. A "
        "disentangled factor varies along one axis.",
        latent_figures.scatter,
        ("factors", "plane"),
        key=True,
    ),
    FigureType(
        _LATENT,
        "covariance",
        "covariance",
        "Covariance of the latents",
        "Eigenvalues and eigenvectors (columns) of the covariance of the posterior "
        "means. Axis-aligned variation gives eigenvectors with one entry near 1.",
        latent_figures.covariance,
        ("pairs", "plane"),
    ),
    FigureType(
        _LATENT,
        "information",
        "factor_maps",
        "Code against factor",
        "How much each dimension tells about each factor: mutual information "
        "divided by the factor's entropy, and DCI's relative importance. "
        "Disentangled codes have one dark cell in each column and at most one in "
        "each row.",
        latent_figures.factor_maps,
        ("factors",),
        key=True,
    ),
    FigureType(
        _CODEBOOK,
        "codebook",
        "codebook_structure",
        "Codebook: commutators and directions",
        "Left, the mean Frobenius norm of AB \N{MINUS SIGN} BA between the generators "
        "of two sections: 0 where the symmetries commute. Right, the mean absolute "
        "cosine between the directions in which two sections move z: a good codebook "
        "has 1 on the diagonal and 0 elsewhere.",
        latent_figures.codebook_structure,
        ("codebook", "pairs"),
    ),
    FigureType(
        _CODEBOOK,
        "codebook",
        "codebook_use",
        "Codebook: use",
        "The share of random pairs in which each section is switched on, and the mean "
        "attention to its elements. An even row uses all elements alike.",
        latent_figures.codebook_use,
        ("codebook", "pairs"),
    ),
    FigureType(
        _CODEBOOK,
        "section_moves",
        "section_moves",
        "Codebook: the latents that each section moves",
        "How far each section alone, with the attention that it has for a pair, moves "
        "each latent dimension: the root mean square over random pairs. In brackets, "
        "the share of these pairs in which the section is switched on. A section that "
        "acts on a single latent has one dark cell in its row; factor prediction ties "
        "section s to dimension s, so that the diagonal should be dark.",
        latent_figures.section_moves,
        ("codebook", "pairs"),
    ),
    FigureType(
        _CODEBOOK,
        "equivariance",
        "equivariance",
        "Equivariance error by factor",
        "Pairs that differ in one factor alone: how far the first code is from the "
        "second before (pale) and after (blue) the predicted symmetry has acted on it. "
        "0 is perfect; a symmetry that helps makes the blue bar the shorter one.",
        latent_figures.equivariance,
        ("codebook", "grid"),
    ),
)


@dataclasses.dataclass(frozen=True)
class SavedFigure:
    """A figure or animation on disk, with its title and caption.

    Attributes:
        name: the file's stem.
        title: a few words.
        caption: what it shows and how to read it; z_1 is shown with a subscript.
        image: the PNG or GIF for the page.
        inches: its width in print.
        group: the heading it stands under.
        key: whether pages about several trainings show it.
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


def write_figures(run: Run, folder: Path) -> tuple[list[SavedFigure], list[str]]:
    """Draw every figure that a run has arrays for, as NAME.png and NAME.pdf.

    Args:
        run: what the figures are drawn from.
        folder: where they go; made if missing.

    Returns:
        The figures in reading order, and a sentence on each that could not be drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved: list[SavedFigure] = []
    failed: list[str] = []
    with paper_style():
        for kind in FIGURES:
            first = ""
            for part in _parts(run, kind.part):
                factor = str(part.get("factor", ""))
                title = kind.title.format(factor=spaced(factor))
                taken = [figure.name for figure in saved]
                name = file_name(kind.name.format(factor=factor), taken)
                caption = kind.caption
                if first:
                    caption = kind.further.format(factor=spaced(factor), first=first)
                try:
                    figure = kind.draw(part)
                    image, width = save(figure, folder, name), figure.get_figwidth()
                # If one figure cannot be drawn, the others and the page must still be
                # made.
                except Exception as error:
                    failed.append(failure(title, error))
                    continue
                first = first or title
                saved.append(
                    SavedFigure(
                        name, title, caption, image, width, kind.group, kind.key
                    )
                )
    return saved, failed


def _parts(run: Run, name: str) -> Iterator[Mapping[str, np.ndarray]]:
    """The parts of an analysis that a figure type is drawn from."""
    if name.endswith("/*"):
        yield from run.parts(name.removesuffix("/*"))
    elif part := run.part(name):
        yield part


def failure(title: str, error: Exception) -> str:
    """A sentence on what could not be drawn, which is also printed."""
    sentence = f"{title}: drawing failed ({type(error).__name__}: {error})"
    print(sentence, file=sys.stderr)
    return sentence


def file_name(name: str, taken: Sequence[str]) -> str:
    """A name that is safe for a file, and that no other file has.

    Names of factors come from the data set: a name may contain "/", differ from another
    only in its case, or be equal to it.
    """
    safe = re.sub(r"[^\w.-]+", "_", name).strip("._")[:_MOST_LETTERS] or "figure"
    others = {other.casefold() for other in taken}
    found, count = safe, 1
    while found.casefold() in others:
        count += 1
        found = f"{safe}_{count}"
    return found


def write_losses(part: curves.LossCurves, folder: Path) -> SavedFigure:
    """Draw the loss curves of all runs as losses.png and losses.pdf."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = len(next(iter(part.terms.values())))
    many = f" The strong line is the median of {runs} runs, each thin line one of them."
    with paper_style():
        figure = curves.compared_losses({"": part})
        image, width = save(figure, folder, "losses"), figure.get_figwidth()
    return SavedFigure(
        "losses",
        "Loss curves",
        "Every logged term against the training step. An axis is logarithmic where its "
        "term is positive and its largest value many times the smallest."
        + (many if runs > 1 else ""),
        image,
        width,
        "Training",
    )


def left_out(run: Run) -> dict[str, list[str]]:
    """The titles of the figures that a run cannot have, by the reason."""
    reasons: dict[str, list[str]] = {}
    for kind in FIGURES:
        for need in kind.needs:
            if need in run.lacking:
                title = kind.title.format(factor="a factor")
                reasons.setdefault(run.lacking[need], []).append(title)
                break
    return reasons


def write_index(figures: Sequence[SavedFigure], folder: Path) -> None:
    """Write titles and captions of all figures, for pages that compare runs."""
    entries = [dataclasses.asdict(f) | {"image": f.image.name} for f in figures]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _INDEX).write_text(json.dumps(entries, indent=1), encoding="utf-8")


def has_index(folder: Path) -> bool:
    """Whether a folder holds the figures of a report."""
    return (folder / _INDEX).exists()


def read_index(folder: Path) -> list[SavedFigure]:
    """The figures that `write_index` listed."""
    entries = json.loads((folder / _INDEX).read_text("utf-8"))
    return [
        SavedFigure(**entry | {"image": folder / entry["image"]}) for entry in entries
    ]
