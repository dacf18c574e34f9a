"""The figures made of images: what the model draws, and how its symmetries act."""

import numpy as np
from matplotlib.figure import Figure

from cfasl_jax.report.arrays import (
    Composition,
    FactorSteps,
    Reconstructions,
    SectionAction,
    SectionSteps,
    Traversals,
    Walk,
    kl_order,
)
from cfasl_jax.report.mosaics import Labels, image_grid, widest_cell
from cfasl_jax.report.names import spaced

_MOST_COLUMNS = 10
_MOST_PAIRS = 6


def _spread(steps: int) -> np.ndarray:
    """Returns the indices of at most 11 steps, evenly spread, both ends included."""
    return np.linspace(0, steps - 1, min(steps, 11)).round().astype(int)


def _signed(values: np.ndarray) -> list[str]:
    """Formats numbers with their sign, a true minus for the negative ones."""
    return [f"{v:+.1f}".replace("-", "\N{MINUS SIGN}") if v else "0" for v in values]


def reconstructions(part: Reconstructions) -> Figure:
    """Draws images above their reconstructions."""
    grid = np.stack([part.originals, part.reconstructions])[:, :_MOST_COLUMNS]
    return image_grid(grid, Labels(("image", "reconstruction")))


def traversals(part: Traversals) -> Figure:
    """Draws a row a dimension, largest KL first; collapsed ones are greyed."""
    order = kl_order(part.kl, part.active)
    columns = _spread(len(part.values))
    labels = Labels(
        rows=[
            f"dim {d}\nKL {part.kl[d]:.2f}" + ("" if part.active[d] else ", inactive")
            for d in order
        ],
        columns=_signed(part.values[columns]),
        faded=[not part.active[d] for d in order],
        corner="value",
    )
    return image_grid(part.frames[order][:, columns], labels)


def composition(part: Composition) -> Figure:
    """Draws, a column a pair, x1, its reconstruction, decode(z1 g_c) and x2."""
    rows = (part.x1, part.reconstruction1, part.composed, part.x2)
    labels = Labels(
        ("$x_1$", "decode($z_1$)", "decode($z_1 g_c$)", "$x_2$"),
        corner="switched on" if part.switch is not None else "",
        columns=_switched(part.switch) if part.switch is not None else (),
    )
    return image_grid(np.stack(rows)[:, :_MOST_COLUMNS], labels, label_width=1.05)


def _switched(switch: np.ndarray) -> list[str]:
    """Returns, a pair, how many of its sections are switched on."""
    counts = (switch[:_MOST_COLUMNS] > 0.5).sum(1)
    return [f"{count} of {switch.shape[1]}" for count in counts]


def section_steps(part: SectionSteps) -> Figure:
    """Draws, a row a pair, x1, one more section at each step, and x2."""
    n, steps = part.frames.shape[:2]
    n, S = min(n, _MOST_PAIRS), steps - 1
    grid = np.concatenate(
        [part.x1[:n, None], part.frames[:n], part.x2[:n, None]], axis=1
    )
    order = np.tile(np.arange(S), (n, 1)) if part.order is None else part.order[:n]
    marked = []
    if part.switch is not None:
        used = np.take_along_axis(part.switch[:n], order, axis=1) > 0.5
        marked = [(row, step + 2) for row, step in np.argwhere(used)]
    same = bool((order == order[0]).all())
    names = [f"+ {order[0, step]}" if same else f"step {step}" for step in range(S)]
    labels = Labels(
        rows=[f"pair {i}" for i in range(n)],
        columns=["$x_1$", "$z_1$", *names, "$x_2$"],
        marked=marked,
        corner="section",
    )
    return image_grid(grid, labels, label_width=0.55)


def walk(part: Walk) -> Figure:
    """Draws, a row a pair, x1, one more dimension of z2 at each step, and x2."""
    n = min(len(part.x1), _MOST_PAIRS)
    grid = np.concatenate(
        [part.x1[:n, None], part.frames[:n], part.x2[:n, None]], axis=1
    )
    names = [f"dim {d}" for d in part.dimensions]
    labels = Labels(
        rows=[f"pair {i}" for i in range(n)],
        columns=["$x_1$", "$z_1$", *names, "$x_2$"],
        corner="exchanged",
    )
    return image_grid(grid, labels, label_width=0.7)


def factor_steps(part: FactorSteps) -> Figure:
    """Draws a factor's values, and the images the predicted symmetries make."""
    grid = np.stack([part.originals, part.one_shot, part.chained])
    grid = grid[:, :_MOST_COLUMNS]
    labels = Labels(
        rows=("image", "one-shot\nfrom the step before", "chained\nfrom the first"),
        columns=[str(value) for value in part.values[:_MOST_COLUMNS]],
        corner=spaced(part.factor),
    )
    # Of one size for all factors, whatever the number of their values.
    cell = widest_cell(_MOST_COLUMNS, label_width=1.2)
    return image_grid(grid, labels, label_width=1.2, cell=cell)


def section_action(part: SectionAction) -> Figure:
    """Draws a row a section, acting alone with a growing amount."""
    columns = _spread(len(part.amounts))
    labels = Labels(
        rows=[f"section {s}" for s in range(len(part.frames))],
        columns=_signed(part.amounts[columns]),
        corner="amount",
    )
    return image_grid(part.frames[:, columns], labels)
