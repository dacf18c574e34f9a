"""Conversion between the global batch and the parts of it that devices hold.

A device holds the first samples of its pairs, followed by the second ones. In the
global batch all first samples come before all second ones. With these functions, a loss
that depends on the order of samples sees the same batch on any number of devices.
"""

import jax
import jax.numpy as jnp


def whole(x: jax.Array, axis_name: str | None) -> jax.Array:
    """The devices' parts [b, ...] joined to the global batch [B, ...], in its order."""
    if axis_name is None:
        return x
    parts = jax.lax.all_gather(x, axis_name)
    devices, b = parts.shape[:2]
    halves = parts.reshape(devices, 2, b // 2, *x.shape[1:])
    return jnp.swapaxes(halves, 0, 1).reshape(devices * b, *x.shape[1:])


def gathered(x: jax.Array, axis: int, axis_name: str | None) -> jax.Array:
    """The devices' parts joined along an axis, device by device; on one device, x."""
    if axis_name is None:
        return x
    return jax.lax.all_gather(x, axis_name, axis=axis, tiled=True)


def own(x: jax.Array, axis_name: str | None) -> jax.Array:
    """This device's part [b, ...] of a global batch [B, ...]; inverts `whole`."""
    if axis_name is None:
        return x
    devices = jax.lax.axis_size(axis_name)
    halves = x.reshape(2, devices, len(x) // (2 * devices), *x.shape[1:])
    mine = jax.lax.dynamic_index_in_dim(
        halves, jax.lax.axis_index(axis_name), axis=1, keepdims=False
    )
    return mine.reshape(-1, *x.shape[1:])
