"""The kinds of figures: what each is drawn from, what it shows, how to read it."""

import dataclasses
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from cfasl_jax.report import codebook_charts, image_figures, latent_charts

_MODEL = "What the model draws"
_SYMMETRIES = "Symmetries"
_LATENT = "Latent space"
_CODEBOOK = "Codebook"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of figure.

    Attributes:
      group: the heading it stands under.
      part: the field of `Analysis` that it is drawn from; of a sequence, each item.
      name: of the file; {factor} stands for that of the item.
      title: a few words; {factor} as above.
      caption: what it shows and how to read it; z_1 stands for a subscript.
      draw: from the part to the figure.
      needs: what a run must have for it: "codebook", "factors", "grid".
      key: whether a page about several runs shows it.
    """

    group: str
    part: str
    name: str
    title: str
    caption: str
    draw: Callable[[Any], Figure]
    needs: tuple[str, ...] = ()
    key: bool = False


KINDS = (
    Kind(
        _MODEL,
        "reconstructions",
        "reconstructions",
        "Reconstructions",
        "Random images above what the model decodes from their posterior means. "
        "Whatever is lost here cannot be disentangled.",
        image_figures.reconstructions,
        key=True,
    ),
    Kind(
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
    Kind(
        _SYMMETRIES,
        "composition",
        "composition",
        "Composite symmetry",
        "A pair of images a column. The symmetry g_c predicted from the pair acts "
        "on z_1; decoded, the third row should show what the fourth does.",
        image_figures.composition,
        ("codebook",),
        key=True,
    ),
    Kind(
        _SYMMETRIES,
        "section_steps",
        "sections",
        "Composite symmetry, section by section",
        "From z_1, one section of the codebook after another is added to the "
        "exponent. A bar below an image marks a step whose section is predicted to be "
        "switched on; if sections are factors, each bar stands for one change.",
        image_figures.section_steps,
        ("codebook",),
        key=True,
    ),
    Kind(
        _SYMMETRIES,
        "walk",
        "walk",
        "Largest-KL walk",
        "From z_1 to z_2 without symmetries: one dimension after another is taken "
        "from z_2, the largest KL first. Any model can do this: the yardstick for "
        "the composite symmetry.",
        image_figures.walk,
        key=True,
    ),
    Kind(
        _SYMMETRIES,
        "factor_steps",
        "steps_{factor}",
        "Stepping {factor}",
        "The factor runs through evenly spread values, the others stay. Symmetries are "
        "predicted from each step: one-shot applies a step's symmetry to the image "
        "before, chained applies all of them one after another to the first, so that "
        "errors add up.",
        image_figures.factor_steps,
        ("codebook", "grid"),
    ),
    Kind(
        _SYMMETRIES,
        "section_action",
        "section_action",
        "Each section acting alone",
        "One example under expm(amount G_s), a row a section. A section that has "
        "learned a factor changes that factor alone.",
        image_figures.section_action,
        ("codebook",),
    ),
    Kind(
        _LATENT,
        "codes",
        "scatter",
        "Latent space",
        "Posterior means of a sample, in the three most informative dimensions, "
        "chosen once for all panels; each panel is coloured by one factor. A "
        "disentangled factor varies along one axis.",
        latent_charts.scatter,
        ("factors",),
        key=True,
    ),
    Kind(
        _LATENT,
        "covariance",
        "covariance",
        "Covariance of the latents",
        "Eigenvalues and eigenvectors (columns) of the covariance of the posterior "
        "means. Axis-aligned variation gives eigenvectors with one entry near 1.",
        latent_charts.covariance,
    ),
    Kind(
        _LATENT,
        "factor_maps",
        "factor_maps",
        "Code against factor",
        "How much each dimension tells about each factor: mutual information "
        "divided by the factor's entropy, and DCI's relative importance. "
        "Disentangled codes have one dark cell a column and at most one a row.",
        latent_charts.factor_maps,
        ("factors",),
        key=True,
    ),
    Kind(
        _CODEBOOK,
        "codebook",
        "codebook_structure",
        "Codebook: commutators and directions",
        "Left, the mean Frobenius norm of AB \N{MINUS SIGN} BA between the generators "
        "of two sections: 0 where the symmetries commute. Right, the mean absolute "
        "cosine between the directions in which two sections move z: a good codebook "
        "has 1 on the diagonal and 0 elsewhere.",
        codebook_charts.structure,
        ("codebook",),
    ),
    Kind(
        _CODEBOOK,
        "codebook",
        "codebook_use",
        "Codebook: use",
        "The share of random pairs in which each section is switched on, and the mean "
        "attention to its elements. An even row uses all elements alike.",
        codebook_charts.use,
        ("codebook",),
    ),
    Kind(
        _CODEBOOK,
        "equivariance",
        "equivariance",
        "Equivariance error by factor",
        "Pairs that differ in one factor alone: how far the first code is from the "
        "second before (pale) and after (blue) the predicted symmetry has acted on it. "
        "0 is perfect; a symmetry that is of use makes the blue bar the shorter one.",
        codebook_charts.equivariance,
        ("codebook", "grid"),
    ),
)
