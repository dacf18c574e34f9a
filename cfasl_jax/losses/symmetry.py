"""The losses that shape the symmetry codebook (Jung, Jeong, Kim, TMLR 2024).

Symbols and axes are those of `cfasl_jax.types`. Losses that compare samples with each
other take an optional `axis_name`: each of several devices compares its own samples
with those of all devices, and the mean of the devices' results is the loss of the
global batch, in value and gradient.
"""

import chex
import jax
import jax.numpy as jnp
import optax

from cfasl_jax.codebook import act
from cfasl_jax.losses.batch import gathered

_HIGHEST = jax.lax.Precision.HIGHEST

# Keeps the logarithm of a squared cosine finite for orthogonal vectors.
_COS2_FLOOR = 1e-9


def _direction(delta: jax.Array) -> jax.Array:
    """Unit vectors along the last axis; 0, with gradient 0, where delta is 0."""
    norm2 = jnp.square(delta).sum(axis=-1, keepdims=True)
    moves = norm2 > 0
    # The inner `where` keeps 0 out of the square root, whose gradient there is
    # infinite: multiplied by the outer mask's 0, it would be NaN.
    return jnp.where(moves, delta / jnp.sqrt(jnp.where(moves, norm2, 1.0)), 0.0)


def _sum_of_logs(x: jax.Array) -> jax.Array:
    """Sum of log x over a matrix of values in [1e-9, 1 + 1e-9].

    The matrix is halved twice by multiplying one half with the other, so that one
    logarithm serves four values. Their product is at least 1e-36, which is still a
    normal float32 number.
    """
    for _ in range(2):
        half, odd = divmod(x.shape[-1], 2)
        if odd:
            break
        x = x[..., :half] * x[..., half:]
    return jnp.log(x).sum()


def _section_alignment(
    rows: jax.Array, columns: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One section's sum of -log(cos^2 + floor), and its gradient for rows [N, D]."""
    cos = jnp.matmul(rows, columns.T, precision=_HIGHEST)
    cos2 = cos * cos + _COS2_FLOOR
    slope = -2.0 * cos / cos2
    return -_sum_of_logs(cos2), jnp.matmul(slope, columns, precision=_HIGHEST)


def _one_after_another(
    rows: jax.Array, columns: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`_section_alignment` for one section at a time: a CPU's cache holds only one.

    Accelerators compute all sections at once instead: one section at a time would start
    many kernels, each too small to keep the accelerator busy.
    """
    return jax.lax.map(lambda section: _section_alignment(*section), (rows, columns))


@jax.custom_vjp
def _mean_log_alignment(rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Mean of -log(cos^2 + floor) over sections and pairs, [S, N, D] and [S, M, D].

    `rows` are this device's directions, `columns` those of all devices. Every pair of
    directions occurs twice, once with each of the two as the row, and contributes the
    same both times. So the whole gradient with respect to a direction is twice its
    gradient as a row, and the columns need no gradient of their own.
    """
    return _mean_log_alignment_fwd(rows, columns)[0]


def _mean_log_alignment_fwd(
    rows: jax.Array, columns: jax.Array
) -> tuple[jax.Array, jax.Array]:
    # The result is a scalar, so its gradient is known here up to one factor. It is
    # computed now, while the matrices of cosines exist: kept for a backward pass, these
    # S matrices of (L B)^2 numbers would take most of a step's memory and time.
    sums, slopes = jax.lax.platform_dependent(
        rows, columns, cpu=_one_after_another, default=jax.vmap(_section_alignment)
    )
    # A whole number beyond int32, as of large batches, could not enter the program.
    pairs = float(rows.shape[0] * rows.shape[1] * columns.shape[1])
    return sums.sum() / pairs, 2.0 / pairs * slopes


def _mean_log_alignment_bwd(
    gradient: jax.Array, cotangent: jax.Array
) -> tuple[jax.Array, None]:
    # None rather than zeros, which several devices would send to each other.
    return cotangent * gradient, None


_mean_log_alignment.defvjp(_mean_log_alignment_fwd, _mean_log_alignment_bwd)


def parallel(delta: jax.Array, axis_name: str | None = None) -> jax.Array:
    """Elements of one section move every latent along one direction.

    The mean of -log(cos^2 + 1e-9) over sections and over all (L B)^2 ordered pairs of a
    section's displacements, those of all its elements and all samples.

    Args:
        delta: displacements, [S, L, B, D].
        axis_name: device axis over which B is divided.

    Returns:
        The loss; 0 where all directions of a section agree.
    """
    chex.assert_rank(delta, 4)
    S, L, B, D = delta.shape
    rows = _direction(delta).reshape(S, L * B, D)
    return _mean_log_alignment(rows, gathered(rows, 1, axis_name))


def perpendicular(
    delta: jax.Array, element: jax.Array, axis_name: str | None = None
) -> jax.Array:
    """Different sections move latents along orthogonal directions.

    One element is drawn for each section. The loss is the mean of cos^2 over all
    (S B)^2 pairs of these elements' displacements, where pairs of the same section
    count as 0. The sum over the pairs of sections s and t is the inner product of their
    scatter matrices U_s^T U_s and U_t^T U_t, so the pairs themselves are not computed.

    Args:
        delta: displacements, [S, L, B, D].
        element: index of the element drawn for each section, int [S].
        axis_name: device axis over which B is divided.

    Returns:
        The loss, in [0, 1]; 0 where all sections are orthogonal.
    """
    chex.assert_rank([delta, element], [4, 1])
    S, _, B, D = delta.shape
    drawn = delta[jnp.arange(S), element]
    unit = _direction(drawn)
    scatter = jnp.einsum("sbd,sbe->sde", unit, unit, precision=_HIGHEST)
    parts = gathered(scatter[None], 0, axis_name)
    cos2 = jnp.matmul(
        scatter.reshape(S, D * D), parts.sum(0).reshape(S, D * D).T, precision=_HIGHEST
    )
    different = 1.0 - jnp.eye(S)
    return (cos2 * different).sum() / float(S * B * S * B * parts.shape[0])


def sparsity(delta: jax.Array) -> jax.Array:
    """Each element moves one latent dimension alone.

    The mean over s, l, b of (||delta||^2 - max_d delta_d^2)^2, for delta [S, L, B, D].
    """
    chex.assert_rank(delta, 4)
    return jnp.square(jnp.square(delta).sum(axis=-1, where=_others(delta))).mean()


def relative_sparsity(delta: jax.Array) -> jax.Array:
    """`sparsity` that does not depend on the lengths of the displacements.

    The mean over s, l, b of 1 - max_d delta_d^2 / ||delta||^2, for delta [S, L, B, D];
    in [0, 1 - 1/D]. A displacement of 0 counts as 0. This loss is not in the paper.
    """
    chex.assert_rank(delta, 4)
    return jnp.square(_direction(delta)).sum(axis=-1, where=_others(delta)).mean()


def _others(delta: jax.Array) -> jax.Array:
    """All entries of each displacement but the largest, bool [S, L, B, D].

    The largest one is found by its index. The gradient of a maximum would compare
    values instead: where XLA computes a square twice with different rounding, no entry
    equals the maximum, and the gradient is 0 / 0. This has been observed.
    """
    largest = jnp.argmax(jnp.abs(delta), axis=-1, keepdims=True)
    return jax.lax.broadcasted_iota(largest.dtype, delta.shape, 3) != largest


def commutator(generators: jax.Array) -> jax.Array:
    """The symmetries commute.

    The mean of (A_a A_b - A_b A_a)^2 over all pairs a < b of the N = S L generators and
    over the E^2 entries, for generators [S, L, E, E]. All N^2 products are one matrix
    product. Moments of the generators would give the loss without them, but as a
    difference of two sums that cancel if the generators nearly commute.
    """
    chex.assert_rank(generators, 4)
    E = generators.shape[-1]
    A = generators.reshape(-1, E, E)
    N = A.shape[0]
    if N < 2:
        return jnp.zeros((), generators.dtype)
    columns = A.swapaxes(0, 1).reshape(E, N * E)
    products = jnp.matmul(A.reshape(N * E, E), columns, precision=_HIGHEST)
    products = products.reshape(N, E, N, E)  # [a, i, b, k] is (A_a A_b)[i, k]
    difference = products - products.transpose(2, 1, 0, 3)
    # Ordered pairs count each unordered one twice, and a = b contributes nothing.
    return jnp.square(difference).sum() / float(N * (N - 1) * E * E)


def commutator_official(generators: jax.Array) -> jax.Array:
    """The commutator as the published code computes it, on [S, L, D, D].

    The generators, stored as [N, D, D], are reshaped in memory order to one matrix
    R [D, D N], and its D columns from j D on are used in the place of A_j. Only pairs
    i < j < L are used. The published code adds the running total after every pair, so
    that the k-th of P pairs, in row-major order and counted from 0, counts P - k times.
    """
    chex.assert_rank(generators, 4)
    L, D = generators.shape[1], generators.shape[-1]
    A = generators.reshape(-1, D, D)
    N = A.shape[0]
    blocks = A.reshape(D, N, D)[:, :L].swapaxes(0, 1)
    products = jnp.einsum("iab,jbc->ijac", A[:L], blocks, precision=_HIGHEST)
    difference = products - products.swapaxes(0, 1)
    distance = jnp.square(difference).sum(axis=(-2, -1))
    first, second = jnp.triu_indices(L, k=1)
    times = jnp.arange(len(first), 0, -1, dtype=generators.dtype)
    return (times * 2.0 * distance[first, second]).sum() / float((N * D) ** 2)


def factor_prediction(logits: jax.Array, changed: jax.Array) -> jax.Array:
    """Cross-entropy of the prediction whether factor s changes.

    Args:
        logits: [P, S, 2].
        changed: targets T, 0 or 1, [P, S].

    Returns:
        The loss, summed over sections and averaged over pairs.
    """
    chex.assert_shape(logits, (*changed.shape, 2))
    labels = changed.astype(jnp.int32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.sum(axis=-1).mean()


def factor_prediction_official(logits: jax.Array, changed: jax.Array) -> jax.Array:
    """`factor_prediction` of the published code, which takes probabilities for logits.

    The second softmax keeps the loss above log(1 + 1/e) = 0.313 for each section.
    """
    return factor_prediction(jax.nn.softmax(logits, axis=-1), changed)


def encoder_equivariance(
    z1: jax.Array, z2: jax.Array, generator: jax.Array
) -> jax.Array:
    """The composite symmetry carries z1 to z2, and its inverse carries z2 to z1.

    Args:
        z1, z2: latents of P pairs, [P, D].
        generator: composite generators M, [P, E, E].

    Returns:
        MSE(z1 expm(M), z2) + MSE(z2 expm(-M), z1), each over pairs and dimensions.
    """
    chex.assert_equal_shape([z1, z2])
    return distance(act(z1, generator), z2) + distance(act(z2, -generator), z1)


def distance(moved: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared difference of latents [P, D], over pairs and dimensions."""
    chex.assert_equal_shape([moved, target])
    return jnp.square(moved - target).mean()
