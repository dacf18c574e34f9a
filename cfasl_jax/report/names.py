"""Name for readers of what the files of a run call briefly."""

import re
from collections.abc import Iterable

_SCORES = {
    "fvm": "FVM",
    "z_diff": "z-diff",
    "mig": "MIG",
    "sap": "SAP",
    "disentanglement": "DCI disentanglement",
    "completeness": "DCI completeness",
    "informativeness_test": "DCI informativeness",
    "modularity": "modularity",
    "explicitness": "explicitness",
    "infom": "InfoM",
    "infoe": "InfoE",
    "infoc": "InfoC",
    "irs": "IRS",
    "fvm_own_votes": "FVM on its own votes",
    "fvm_held_out": "FVM on fresh votes",
    "z_diff_train": "z-diff on its training points",
    "informativeness_train": "DCI informativeness on its training points",
}
_TERMS = {"kl": "KL", "mi": "MI", "tc": "TC", "dwkl": "dimension-wise KL"}
_FIRST_TERMS = ("loss", "reconstruction", "kl")


def score(name: str) -> str:
    """What the field calls a score; a name that is not known, with spaces."""
    if match := re.fullmatch(r"m_fvm_(\d+)(_held_out)?", name):
        return f"m-FVM{match[1]}" + (" on fresh votes" if match[2] else "")
    return _SCORES.get(name, spaced(name))


def term(name: str) -> str:
    """What the field calls a loss term or a measure of a model."""
    return _TERMS.get(name, spaced(name))


def ordered_scores(names: Iterable[str]) -> list[str]:
    """Scores in reading order, each once; unknown ones come last."""
    known = list(_SCORES)
    after = known.index("informativeness_test")

    def place(name: str) -> tuple[int, str]:
        if name.startswith("m_fvm_"):
            return after, name
        return (known.index(name) if name in known else len(known)), ""

    return sorted(dict.fromkeys(names), key=place)


def is_variant(name: str) -> bool:
    """Whether a score is another reading of one that is listed anyway."""
    return name.endswith(("_train", "_held_out", "_own_votes"))


def spaced(name: str) -> str:
    """A name with spaces between its words."""
    return name.replace("_", " ")


def ordered_terms(names: Iterable[str]) -> list[str]:
    """Loss terms in reading order: the total, what every VAE has, the rest."""
    names = list(names)
    first = [name for name in _FIRST_TERMS if name in names]
    return first + [name for name in names if name not in first]
