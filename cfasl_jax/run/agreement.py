"""How well runs that differ only in their seed agree: UDR, from codes that they stored.

Scoring a run stores its codes of the random images on which it measures the KL. These
are the same images for all runs on a data set, so that runs can be compared without
their models.
"""

import io
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from cfasl_jax import files, metrics
from cfasl_jax.errors import ConfigError

CODES_FILE = "codes.npy"


def store(workdir: Path, codes: np.ndarray) -> None:
    """Write posterior means [runs, n, D] into a working directory."""
    # Saved directly into a file, an array does not say why a full disk refuses it.
    content = io.BytesIO()
    np.save(content, codes.astype(np.float32))
    with files.replacing(workdir / CODES_FILE) as path:
        path.write_bytes(content.getvalue())


def stored(workdir: Path) -> np.ndarray | None:
    """Posterior means [runs, n, D]; None if the run was scored by an earlier version.

    Raises:
        ConfigError: if the file is damaged.
    """
    path = workdir / CODES_FILE
    if not path.exists():
        return None
    try:
        codes = np.load(path)
        if codes.ndim != 3:
            raise ValueError(f"it holds an array {list(codes.shape)}")
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(
            f"{path} is damaged ({error}): move it away, and score the run again, with "
            "--mode=evaluate"
        ) from error
    return codes


def udr_of(
    alike: Sequence[Hashable],
    codes: Sequence[np.ndarray],
    active: Sequence[np.ndarray],
) -> list[float | None]:
    """UDR of each run, among those that differ from it only in their seed.

    Args:
        alike: equal for runs that differ only in their seed.
        codes: of the same images by each run, [n, D] each.
        active: which dimensions of each run are active, bool [D] each.

    Returns:
        See `metrics.udr`; None for a run without another one like it, or with codes
        that are not finite.
    """
    found: list[float | None] = [None] * len(alike)
    finite = [bool(np.isfinite(of_run).all()) for of_run in codes]
    for key in dict.fromkeys(alike):
        runs = [run for run, k in enumerate(alike) if k == key and finite[run]]
        if len(runs) > 1:
            chosen = [codes[run] for run in runs], [active[run] for run in runs]
            values = metrics.udr(*chosen)["udr"]
            for run, value in zip(runs, values, strict=True):
                found[run] = value
    return found
