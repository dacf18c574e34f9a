"""Every figure of a run: which there are, what each shows, how to read it."""

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from cfasl_jax.report import (
    charts,
    codebook_charts,
    image_figures,
    latent_charts,
)
from cfasl_jax.report.arrays import Analysis
from cfasl_jax.report.plates import Plate
from cfasl_jax.report.style import paper_style, save

_Drawn = tuple[str, str, str, Figure]


def _model(analysis: Analysis) -> Iterator[_Drawn]:
    """Yields the figures that every model has."""
    yield (
        "reconstructions",
        "Reconstructions",
        "Held-out images above what the model decodes from their posterior means. "
        "Whatever is lost here cannot be disentangled.",
        image_figures.reconstructions(analysis.reconstructions),
    )
    yield (
        "traversals",
        "Latent traversals",
        "One example; in each row a single latent dimension is set to the value above "
        "the column and the others are kept. Rows are ordered by the mean KL of the "
        "dimension's posterior from the prior, in nats. A disentangled dimension "
        "changes one factor; a greyed row is inactive: its posterior has "
        "collapsed onto the prior.",
        image_figures.traversals(analysis.traversals),
    )


def _symmetry(analysis: Analysis) -> Iterator[_Drawn]:
    """Yields the figures of composite symmetries, and the walk to hold them against."""
    if analysis.composition is not None:
        yield (
            "composition",
            "Composite symmetry",
            "A pair of images a column. The symmetry g_c predicted from the pair acts "
            "on z_1; decoded, the third row should show what the fourth does.",
            image_figures.composition(analysis.composition),
        )
    if analysis.section_steps is not None:
        yield (
            "sections",
            "Composite symmetry, section by section",
            "From z_1, one section of the codebook after another is added to the "
            "exponent. A framed image is a step whose section is predicted to be "
            "switched on; if sections are factors, each frame changes one of them.",
            image_figures.section_steps(analysis.section_steps),
        )
    if analysis.walk is not None:
        yield (
            "walk",
            "Largest-KL walk",
            "From z_1 to z_2 without symmetries: one dimension after another is taken "
            "from z_2, the largest KL first. Any model can do this: the yardstick for "
            "the composite symmetry.",
            image_figures.walk(analysis.walk),
        )
    for part in analysis.factor_steps:
        yield (
            f"steps_{part.factor.replace(' ', '_')}",
            f"Stepping {part.factor}",
            "One factor runs through its values. Symmetries are predicted from each "
            "step: one-shot applies a step's symmetry to the image before, chained "
            "applies all of them one after another to the first, so that errors add "
            "up.",
            image_figures.factor_steps(part),
        )
    if analysis.section_action is not None:
        yield (
            "section_action",
            "Each section acting alone",
            "One example under expm(amount G_s), a row a section. A section that has "
            "learned a factor changes that factor alone.",
            image_figures.section_action(analysis.section_action),
        )


def _latents(analysis: Analysis) -> Iterator[_Drawn]:
    """Yields the figures of the latent space."""
    if analysis.codes is not None:
        yield (
            "scatter",
            "Latent space",
            "Posterior means of a sample, in the three most informative dimensions, "
            "chosen once for all panels; each panel is coloured by one factor. A "
            "disentangled factor varies along one axis.",
            latent_charts.scatter(analysis.codes),
        )
    if analysis.covariance is not None:
        yield (
            "covariance",
            "Covariance of the latents",
            "Eigenvalues and eigenvectors (columns) of the covariance of the posterior "
            "means. Axis-aligned variation gives eigenvectors with one entry near 1.",
            latent_charts.covariance(analysis.covariance),
        )
    if analysis.factor_maps is not None:
        yield (
            "factor_maps",
            "Code against factor",
            "How much each dimension tells about each factor: mutual information "
            "divided by the factor's entropy, and DCI's relative importance. "
            "Disentangled codes have one dark cell a column and at most one a row.",
            latent_charts.factor_maps(analysis.factor_maps),
        )


def _codebook(analysis: Analysis) -> Iterator[_Drawn]:
    """Yields the figures of the codebook."""
    part = analysis.codebook
    if part is None:
        return
    yield (
        "codebook_structure",
        "Codebook: commutators and directions",
        "Left, the mean Frobenius norm of AB - BA between the generators of two "
        "sections: 0 where the symmetries commute. Right, the mean absolute cosine "
        "between the directions in which two sections move z: a good codebook has 1 on "
        "the diagonal and 0 elsewhere.",
        codebook_charts.structure(part),
    )
    yield (
        "codebook_use",
        "Codebook: use",
        "The share of random pairs in which each section is switched on, and the mean "
        "attention to its elements. An even row uses all elements alike.",
        codebook_charts.use(part),
    )
    if part.equivariance_error is not None:
        yield (
            "equivariance",
            "Equivariance error by factor",
            "Pairs that differ in one factor alone: how far the predicted symmetry "
            "misses the second code. 0 is perfect.",
            codebook_charts.equivariance(part),
        )


def _training(analysis: Analysis) -> Iterator[_Drawn]:
    """Yields the figures of training."""
    if analysis.losses is not None and analysis.losses.terms:
        runs = len(next(iter(analysis.losses.terms.values())))
        spread = (
            f"The line is the mean of {runs} runs, the band reaches from the smallest "
            "to the largest."
            if runs > 1
            else "One run."
        )
        yield (
            "losses",
            "Loss curves",
            "Every logged term against the training step. Axes are logarithmic where a "
            f"term is positive and spans more than a decade. {spread}",
            charts.loss_curves(analysis.losses),
        )


_GROUPS = {
    "What the model draws": _model,
    "Symmetries": _symmetry,
    "Latent space": _latents,
    "Codebook": _codebook,
    "Training": _training,
}


def write_figures(analysis: Analysis, folder: Path) -> list[Plate]:
    """Draws every figure that the analysis has arrays for.

    Args:
      analysis: the saved arrays of one run.
      folder: where NAME.png and NAME.pdf go; made if missing.

    Returns:
      The figures in reading order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plates = []
    with paper_style():
        for group, draw in _GROUPS.items():
            for name, title, caption, figure in draw(analysis):
                image = save(figure, folder, name)
                width = figure.get_figwidth()
                plates.append(Plate(name, title, caption, image, width, group))
    return plates
