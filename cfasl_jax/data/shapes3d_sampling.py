"""From rays to pixels: where the rays of an image lie, and how they are scaled down."""

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 64
# Rays along one edge of a pixel.
SAMPLES = 4


def sample_positions() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the rays in pixels, each [SIZE * SAMPLES, SIZE * SAMPLES].

    The square grid is sheared a little both ways, so that an edge along a pixel row or
    column crosses SAMPLES**2 distinct positions, not SAMPLES.
    """
    index = np.arange(SIZE * SAMPLES)
    nominal = (index + 0.5) / SAMPLES
    shear = ((index % SAMPLES) + 0.5) / SAMPLES**2 - 0.5 / SAMPLES
    rows = nominal[:, None] + shear[None, :]
    columns = nominal[None, :] + shear[:, None]
    return rows.astype(np.float32), columns.astype(np.float32)


def lanczos_weights() -> np.ndarray:
    """Weights [SIZE, SIZE * SAMPLES] that scale an axis down by the Lanczos-3 filter.

    The published images show this filter's overshoot along every edge.
    """
    centres = np.arange(SIZE) + 0.5
    positions = (np.arange(SIZE * SAMPLES) + 0.5) / SAMPLES
    offsets = np.abs(positions[None] - centres[:, None])
    weights = np.where(offsets < 3.0, np.sinc(offsets) * np.sinc(offsets / 3.0), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def scale_down(fine: jax.Array) -> jax.Array:
    """Filters [k, SIZE * SAMPLES, SIZE * SAMPLES] to [k, SIZE, SIZE]."""
    weights = lanczos_weights()
    return jnp.einsum(
        "ip,kpq,jq->kij",
        weights,
        fine,
        weights,
        precision=jax.lax.Precision.HIGHEST,
    )
