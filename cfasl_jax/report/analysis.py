"""The file analysis.npz, from which the figures and the page are drawn.

A trained model is probed once, and the results are saved as named arrays. The report is
drawn from these arrays alone: redrawing needs no model, no data and no device. A part
that a run cannot have (without a codebook or without ground-truth factors) is absent,
and `Run.lacking` says why.

Axes are those of `cfasl_jax.types`: D latent dimensions, S sections of L elements with
E rows each, K factors, images [H, W, C]. Further axes are n examples or pairs, T steps
along a path, and N samples. Images are uint8; matrices act on row vectors,
z -> z expm(A), or on [z, 1] where E = D + 1.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cfasl_jax import files

# The arrays of one part of an analysis, by the rest of their names.
Part = Mapping[str, np.ndarray]

FILE = "analysis.npz"

FORMAT = 1
"""Version of the file's layout; a file of another version is made again."""

ARRAYS = {
    # Random images, and decode(mu) of each.
    "reconstructions/originals": "n H W C",
    "reconstructions/decoded": "n H W C",
    # One latent dimension after another set to `values`, the others kept; `kl` is the
    # mean KL of its posterior from the prior in nats, `active` is False where the
    # posterior has collapsed onto the prior.
    "traversals/frames": "D T H W C",
    "traversals/values": "T",
    "traversals/kl": "D",
    "traversals/active": "D",
    # Of each dimension, over images: the quantiles .05, .25, .5, .75 and .95 of the
    # posterior means, the root mean square of the posterior's deviation, and the mean
    # KL in nats.
    "posteriors/quantiles": "D Q",
    "posteriors/sigma": "D",
    "posteriors/kl": "D",
    # Pairs of images; `path` is decode(z1 expm(a M)) for T amounts a from 0 to 1, so
    # that its first frame is decode(z1) and its last one decode(z1 g_c).
    "composition/x1": "n H W C",
    "composition/x2": "n H W C",
    "composition/path": "n T H W C",
    "composition/switch": "n S",
    # Frame i has the first i sections in the exponent.
    "sections/x1": "n H W C",
    "sections/x2": "n H W C",
    "sections/frames": "n T H W C",
    "sections/switch": "n S",
    # Frame i has the first i of `dimensions` taken from z2, the largest KL first.
    "walk/x1": "n H W C",
    "walk/x2": "n H W C",
    "walk/frames": "n T H W C",
    "walk/dimensions": "D",
    # A factor stepped through its values. one_shot[t] is decode(z_{t-1} g) with g
    # predicted from the images t - 1 and t; `chained` applies the same symmetries one
    # after another to z_0.
    "factor_steps/*/factor": "",
    "factor_steps/*/values": "T",
    "factor_steps/*/originals": "T H W C",
    "factor_steps/*/one_shot": "T H W C",
    "factor_steps/*/chained": "T H W C",
    # decode(z expm(amount G_s)), each section alone.
    "section_action/frames": "S T H W C",
    "section_action/amounts": "T",
    # Posterior means with the factors shown; `dimensions` are the most informative.
    "codes/latents": "N D",
    "codes/factors": "N K",
    "codes/factor_names": "K",
    "codes/dimensions": "P",
    # I(z_d; v_k) / H(v_k), between 0 and 1; DCI's relative importance, each column
    # summing to 1, which is added from results.json when it is drawn.
    "information/normalised": "D K",
    "information/importance": "D K",
    "information/factor_names": "K",
    # Of the posterior means.
    "covariance/matrix": "D D",
    # The mean of ||A B - B A|| over elements A and B of two sections; the mean |cos|
    # between the directions in which they move z; the share of pairs in which a section
    # is switched on; the mean attention to its elements, each row summing to 1.
    "codebook/commutator": "S S",
    "codebook/cosine": "S S",
    "codebook/section_use": "S",
    "codebook/element_use": "S L",
    # How far each section alone, with the attention that it has for a pair, moves each
    # latent of z1: root mean square over pairs; the share of pairs in which it is on.
    "section_moves/distance": "S D",
    "section_moves/on": "S",
    # Mean squared distance of z1 g_c from z2, and of z1 from z2, over pairs that differ
    # in one factor alone.
    "equivariance/errors": "K",
    "equivariance/distances": "K",
    "equivariance/factor_names": "K",
    # The decoder, layer by layer (its kinds: `run.export`), the examples to choose
    # from, and the symmetry predicted from example i to example j.
    "explorer/images": "n H W C",
    "explorer/latents": "n D",
    "explorer/section_generators": "S E E",
    "explorer/generators": "S L E E",
    "explorer/switch": "n n S",
    "explorer/attention": "n n S L",
    "explorer/layers/*/kind": "",
    "explorer/layers/*/relu": "",
    "explorer/layers/*/kernel": None,
    "explorer/layers/*/bias": "O",
    "explorer/layers/*/generators": "D M M",
}
"""Name -> axes; a letter has one size within a part; None is any shape."""


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """The arrays of one trained run.

    Attributes:
        run: its index among the runs that results.json describes.
        label: its name on the page, such as "seed 3".
        arrays: arrays by the names of `ARRAYS`, with a number in the place of "*".
        lacking: maps things that figures may need but this run does not have
            ("codebook", "factors", "grid", "pairs", "plane", "explorer") to a sentence
            that says why.
    """

    run: int
    label: str
    arrays: Mapping[str, np.ndarray]
    lacking: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check names and shapes of the arrays."""
        sizes: dict[tuple[str, str], int] = {}
        for name, array in self.arrays.items():
            part, pattern = _part_and_pattern(name)
            if pattern not in ARRAYS:
                raise ValueError(f"an analysis has no array called {name!r}")
            axes = ARRAYS[pattern]
            if axes is None:
                continue
            if array.ndim != len(axes.split()):
                raise ValueError(f"{name} has the shape {array.shape}, not [{axes}]")
            for axis, size in zip(axes.split(), array.shape, strict=True):
                if sizes.setdefault((part, axis), size) != size:
                    raise ValueError(
                        f"{name} has the shape {array.shape}, not [{axes}] with "
                        f"{axis} = {sizes[part, axis]}"
                    )

    def part(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of a part by the rest of their names; empty if it is absent."""
        return _below(self.arrays, f"{name}/")

    def parts(self, name: str) -> list[dict[str, np.ndarray]]:
        """The parts NAME/0, NAME/1, ... in order."""
        found: list[dict[str, np.ndarray]] = []
        while part := self.part(f"{name}/{len(found)}"):
            found.append(part)
        return found


def _part_and_pattern(name: str) -> tuple[str, str]:
    """The part within which axes agree, and the name's entry in `ARRAYS`."""
    pieces = name.split("/")
    numbered = [i for i, piece in enumerate(pieces) if piece.isdigit()]
    last = numbered[-1] if numbered else 0
    pattern = "/".join("*" if piece.isdigit() else piece for piece in pieces)
    return "/".join(pieces[: last + 1]), pattern


def numbered(name: str, parts: Sequence[Mapping[str, object]]) -> dict[str, np.ndarray]:
    """Several parts of one kind as arrays NAME/0/..., NAME/1/..."""
    return {
        f"{name}/{place}/{key}": np.asarray(value)
        for place, part in enumerate(parts)
        for key, value in part.items()
    }


def kl_order(kl: np.ndarray, active: np.ndarray) -> np.ndarray:
    """The dimensions [D], active ones first, each kind by decreasing KL."""
    return np.lexsort((-kl, ~active))


def save(path: Path, runs: Sequence[Run], belongs_to: Mapping[str, object]) -> None:
    """Write an analysis completely or not at all.

    Args:
        path: path of the file.
        runs: the arrays of each run.
        belongs_to: a value for JSON that identifies the checkpoint and the
            configuration that were probed.
    """
    header = {
        "format": FORMAT,
        "belongs_to": belongs_to,
        "runs": [
            {"run": run.run, "label": run.label, "lacking": dict(run.lacking)}
            for run in runs
        ],
    }
    arrays = {
        f"{place}/{name}": array
        for place, run in enumerate(runs)
        for name, array in run.arrays.items()
    }
    arrays["header"] = np.array(json.dumps(header))
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load(path: Path, belongs_to: Mapping[str, object]) -> list[Run] | None:
    """The runs of an analysis that belongs to this checkpoint and configuration.

    Returns:
        The runs; or None if there is no such file, if it belongs to something else, has
        another format or is damaged. It can always be made again.
    """
    if not path.is_file():  # reading a pipe would wait for a writer
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            wanted = json.loads(json.dumps(belongs_to))
            if header["format"] != FORMAT or not _agree(header["belongs_to"], wanted):
                return None
            arrays = {name: file[name] for name in file.files if name != "header"}
        return [
            Run(**words, arrays=_below(arrays, f"{place}/"))
            for place, words in enumerate(header["runs"])
        ]
    except Exception:  # checksums, tokens of a header, sizes: in many ways
        return None


def _agree(stored: object, wanted: object) -> bool:
    """Whether two records agree in all fields that both of them have.

    The configuration of a later version has fields that a stored one lacks.
    """
    if isinstance(stored, dict) and isinstance(wanted, dict):
        return all(_agree(stored[key], wanted[key]) for key in stored.keys() & wanted)
    return stored == wanted


def _below(arrays: Mapping[str, np.ndarray], start: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(start): array
        for name, array in arrays.items()
        if name.startswith(start)
    }
