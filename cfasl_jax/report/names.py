"""Readable names for the short names that are used in the files of a run."""

from collections.abc import Iterable

from cfasl_jax.metrics import METRICS, SCORES

_METRICS = {"dci": "DCI", "m_fvm": "m-FVM", "infomec": "InfoMEC"}
_TERMS = {
    "kl": "KL",
    "mi": "MI",
    "tc": "TC",
    "dwkl": "dimension-wise KL",
    "pixel_error": "pixel error (of 255)",
}
_FIRST_TERMS = ("loss", "reconstruction", "kl")


def score(name: str) -> str:
    """The usual name of a score; for an unknown score, its own name with spaces."""
    return SCORES[name].label if name in SCORES else spaced(name)


def metric(name: str) -> str:
    """The usual name of a metric: by its main score, else by its own name."""
    main = [one for one in METRICS[name].scores if one.variant_of is None]
    return main[0].label if len(main) == 1 else _METRICS.get(name, score(name))


def term(name: str) -> str:
    """The usual name of a loss term or of a measure of a model."""
    return _TERMS.get(name, score(name))


def ordered_scores(names: Iterable[str]) -> list[str]:
    """Scores in the order of their metrics, each once; unknown ones come last."""
    known = list(SCORES)

    def place(name: str) -> int:
        return known.index(name) if name in SCORES else len(known)

    return sorted(dict.fromkeys(names), key=place)


def is_variant(name: str) -> bool:
    """Whether a score is a variant of another one, see `Score.variant_of`."""
    return name in SCORES and SCORES[name].variant_of is not None


def spaced(name: str) -> str:
    """A name with spaces between its words."""
    return name.replace("_", " ")


def ordered_terms(names: Iterable[str]) -> list[str]:
    """Loss terms in reading order: the total, what every VAE has, the rest."""
    names = list(names)
    first = [name for name in _FIRST_TERMS if name in names]
    return first + [name for name in names if name not in first]
