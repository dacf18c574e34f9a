"""The matrix exponential, from a Lie algebra to its group, exact to float32."""

from functools import partial
from typing import Literal, cast

import chex
import jax
import jax.numpy as jnp

from cfasl_jax import forms
from cfasl_jax.errors import ConfigError, require_choice

# How the exponential of a matrix of small norm is computed: by jax.scipy.linalg.expm,
# which is the definition, or by a polynomial, which is made of matrix products alone.
Expm = Literal["scipy", "taylor"]
EXPMS: tuple[Expm, ...] = ("scipy", "taylor")

_matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)

# A matrix is halved until its L1 norm is below this bound, and the result is squared as
# often. It is the largest norm for which both the Pade approximant of order 7 and the
# Taylor polynomial of degree 18 are exact to float32.
_MAX_NORM = {"scipy": 3.9, "taylor": 3.0}
# Eight squarings suffice for norms up to 700. Beyond that, the result is NaN, which
# stops a run with the name of the loss term; such large generators are of no use.
_MAX_SQUARINGS = 8

# Bader, Blanes & Casas, "Computing the matrix exponential with an optimized Taylor
# polynomial approximation", Mathematics 7 (2019) 1174: the Taylor polynomial of degree
# 18 is B2 + (B3 + A9) A9 with A9 = B1 B5 + B4. Each row holds the weights of
# I, A, A^2, A^3 and A^6 in B1 to B5.
_DEGREE_18 = (
    (
        0.0,
        -1.00365581030144618e-1,
        -8.02924648241156932e-3,
        -8.92138498045729985e-4,
        0.0,
    ),
    (
        0.0,
        3.97849749499645077e-1,
        1.36783778460411720,
        4.98289622525382669e-1,
        -6.37898194594723280e-4,
    ),
    (
        -1.09676396052962062e1,
        1.68015813878906207,
        5.71779846478865511e-2,
        -6.98210122488052056e-3,
        3.34975017086070471e-5,
    ),
    (
        -9.04316832390810593e-2,
        -6.76404519071381882e-2,
        6.75961301770459655e-2,
        2.95552570429315521e-2,
        -1.39180257516060693e-5,
    ),
    (
        0.0,
        0.0,
        -9.23364619367118555e-2,
        -1.69364939002081722e-2,
        -1.40086798182036094e-5,
    ),
)


def resolve(expm: str) -> Expm:
    """The value of `codebook.expm` in a configuration, with "auto" resolved.

    That is "taylor" unless a measurement says otherwise: LU factorisations of small
    matrices are slow on a GPU or TPU, and not faster than matrix products on a CPU.

    Raises:
        ConfigError: if it is not a valid value, or if it is "scipy" where that can
            hang.
    """
    shared = forms.devices_share_processor()
    if expm == "auto":
        return "taylor" if shared else forms.fastest("expm", EXPMS, "taylor")
    require_choice("expm", expm, EXPMS)
    # jaxlib's LU factorisation of many matrices occupies a thread of the devices' pool
    # while it waits for other threads of that pool. If all devices do so at once, no
    # thread is left (jaxlib 0.10.2).
    if expm == "scipy" and shared:
        raise ConfigError(
            "codebook.expm=scipy can wait for ever where several devices share one "
            "processor: use taylor"
        )
    return cast(Expm, expm)


# Compiled as a whole also where nothing else is: JAX would compile the branches of the
# squarings anew at every call.
@partial(jax.jit, static_argnames="expm")
def group_element(generator: jax.Array, expm: Expm = "scipy") -> jax.Array:
    """The exponential of generators, [..., D, D] -> [..., D, D], float32.

    jax.scipy.linalg.expm halves its argument once too few for float32: it leaves L1
    norms up to 7.8, where a rotation by 7.5 radians is wrong by 1e-3. Here the argument
    is scaled beforehand (Higham 2005). With both values of `expm`, the error of an
    entry is below 1.5e-6 times max(1, norm / 4): each squaring doubles it.

    Args:
        generator: elements of the Lie algebra.
        expm: "scipy", or "taylor", which uses only matrix products and suits a GPU.

    Raises:
        ConfigError: if `expm` has another value.
    """
    require_choice("expm", expm, EXPMS)
    chex.assert_equal(generator.shape[-1], generator.shape[-2])
    A = generator.reshape(-1, *generator.shape[-2:])
    norm = jnp.abs(A).sum(axis=-2).max(axis=-1)[:, None, None]
    most = _MAX_NORM[expm]
    halvings = jnp.ceil(jnp.log2(jnp.maximum(norm, most) / most))
    halvings = jax.lax.stop_gradient(halvings)
    of_small = _taylor if expm == "taylor" else _pade
    g = of_small(A * jnp.exp2(-halvings))
    for squaring in range(_MAX_SQUARINGS):
        needed = squaring < halvings
        g = jax.lax.cond(_worth_computing(needed), _square, lambda _, g: g, needed, g)
    g = jnp.where(halvings > _MAX_SQUARINGS, jnp.nan, g)
    return g.reshape(generator.shape)


def _square(needed: jax.Array, g: jax.Array) -> jax.Array:
    """The squares of those matrices [N, D, D] that need it, bool [N, 1, 1]."""
    return jnp.where(needed, _matmul(g, g), g)


@jax.custom_batching.custom_vmap
def _worth_computing(needed: jax.Array) -> jax.Array:
    """Whether to compute a squaring that some matrices may need.

    A CPU computes it if any matrix needs it. An accelerator computes it always: there
    the compiler removes the branch, which would cost more than the product.
    """
    return jax.lax.platform_dependent(
        needed, cpu=jnp.any, default=lambda needed: jnp.ones((), bool)
    )


@_worth_computing.def_vmap
def _worth_computing_for_all(
    size: int, batched: list[bool], needed: jax.Array
) -> tuple[jax.Array, bool]:
    """One answer for all runs: with one for each, vmap would compute both branches."""
    del size, batched
    return _worth_computing(needed), False


def _pade(A: jax.Array) -> jax.Array:
    """The exponential of matrices of small norm, [N, D, D], by JAX's own function."""
    return jax.vmap(partial(jax.scipy.linalg.expm, max_squarings=0))(A)


def _taylor(A: jax.Array) -> jax.Array:
    """The exponential of matrices of small norm, [N, D, D], in five products."""
    A2 = _matmul(A, A)
    A3 = _matmul(A2, A)
    powers = (jnp.eye(A.shape[-1], dtype=A.dtype)[None], A, A2, A3, _matmul(A3, A3))
    B1, B2, B3, B4, B5 = (
        sum(weight * power for weight, power in zip(row, powers, strict=True) if weight)
        for row in _DEGREE_18
    )
    A9 = _matmul(B1, B5) + B4
    return B2 + _matmul(B3 + A9, A9)
