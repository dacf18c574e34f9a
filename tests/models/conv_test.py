"""Both forms against plain loops, their gradients against the library's."""

from collections.abc import Callable
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from cfasl_jax import forms
from cfasl_jax.models.conv import FORMS, conv, conv_transpose, default_form

# Height, width, input and output channels. Few channels to many and many to few take
# different paths; odd sizes lose a row; 6, 14 and 31 pixels occur in the encoder.
CONV_SHAPES = [(6, 6, 1, 8), (14, 9, 2, 3), (31, 4, 3, 2), (5, 6, 2, 16)]
TRANSPOSE_SHAPES = [(4, 4, 2, 3), (5, 3, 3, 1), (1, 2, 8, 2), (3, 4, 4, 1)]


def make(h: int, w: int, c: int, o: int, n: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(h + 10 * w + 100 * c + 1000 * o)
    x = rng.normal(size=(n, h, w, c)).astype(np.float32)
    return x, rng.normal(size=(4, 4, c, o)).astype(np.float32)


def loop_conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    n, h, w, _ = x.shape
    y = np.zeros((n, (h - 4) // 2 + 1, (w - 4) // 2 + 1, kernel.shape[3]))
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            window = x[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4].astype(np.float64)
            y[:, i, j] = np.einsum("nabc,abco->no", window, kernel)
    return y


def loop_transpose(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    n, h, w, _ = x.shape
    y = np.zeros((n, 2 * h + 2, 2 * w + 2, kernel.shape[3]))
    for i in range(h):
        for j in range(w):
            spread = np.einsum("nc,abco->nabo", x[:, i, j].astype(np.float64), kernel)
            y[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += spread
    return y[:, 1:-1, 1:-1]


def library_conv(x: chex.Array, kernel: chex.Array) -> chex.Array:
    spec = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (2, 2), "VALID", dimension_numbers=spec)


def library_transpose(x: chex.Array, kernel: chex.Array) -> chex.Array:
    """The gradient of a convolution with padding 1: the definition in PyTorch."""
    n, h, w, _ = x.shape
    spec = ("NHWC", "HWIO", "NHWC")

    def forward(y: chex.Array) -> chex.Array:
        swapped = kernel.transpose(0, 1, 3, 2)
        pads = ((1, 1), (1, 1))
        return lax.conv_general_dilated(
            y, swapped, (2, 2), pads, dimension_numbers=spec
        )

    y = jax.ShapeDtypeStruct((n, 2 * h, 2 * w, kernel.shape[3]), x.dtype)
    return jax.linear_transpose(forward, y)(x)[0]


CASES = [(conv, loop_conv, library_conv, shape) for shape in CONV_SHAPES] + [
    (conv_transpose, loop_transpose, library_transpose, shape)
    for shape in TRANSPOSE_SHAPES
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("op", "loop", "library", "shape"), CASES)
def test_values_equal_plain_loop(
    op: Callable, loop: Callable, library: Callable, shape: tuple, form: str
):
    del library
    x, kernel = make(*shape)
    y = jax.jit(op, static_argnums=2)(x, kernel, form)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, loop(x, kernel), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("op", "loop"), [case[:2] for case in (CASES[1], CASES[-1])])
def test_works_outside_jit(op: Callable, loop: Callable):
    x, kernel = make(6, 6, 2, 3)
    y = op(x, kernel, "matmul")
    np.testing.assert_allclose(y, loop(x, kernel), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("op", "loop", "library", "shape"), CASES)
def test_gradients_equal_the_library_s(
    op: Callable, loop: Callable, library: Callable, shape: tuple, form: str
):
    x, kernel = make(*shape)
    cotangent = np.cos(np.arange(loop(x, kernel).size)).reshape(loop(x, kernel).shape)

    def gradients(function: Callable) -> tuple[chex.Array, chex.Array]:
        def weighted(x: chex.Array, kernel: chex.Array) -> chex.Array:
            return jnp.sum(function(x, kernel) * cotangent.astype(np.float32))

        return jax.jit(jax.grad(weighted, (0, 1)))(x, kernel)

    ours = gradients(lambda x, kernel: op(x, kernel, form))
    theirs = gradients(library)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [(1, 4), (5, 1)])
@pytest.mark.parametrize("op", [conv, conv_transpose])
def test_check_grads_to_second_order(op: Callable, channels: tuple[int, int]):
    x, kernel = make(6, 6, *channels, n=1)

    def squared(x: chex.Array, kernel: chex.Array) -> chex.Array:
        return jnp.square(op(x, kernel, "matmul"))

    check_grads(
        jax.jit(squared), (x, kernel), order=2, modes=["rev"], atol=0.05, rtol=0.05
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("op", [conv, conv_transpose])
@pytest.mark.parametrize("channels", [(1, 4), (5, 1)])
def test_runs_together_equal_runs_alone(
    op: Callable, channels: tuple[int, int], form: str
):
    runs = [make(6, 6, *channels) for run in range(3)]
    x = jnp.stack([x * (run + 1) for run, (x, _) in enumerate(runs)])
    kernel = jnp.stack([k - run for run, (_, k) in enumerate(runs)])

    def value_and_gradients(x: chex.Array, kernel: chex.Array) -> chex.ArrayTree:
        def loss(x: chex.Array, kernel: chex.Array) -> chex.Array:
            return jnp.sum(jnp.sin(op(x, kernel, form)))

        return jax.value_and_grad(loss, (0, 1))(x, kernel)

    together = jax.jit(jax.vmap(value_and_gradients))(x, kernel)
    alone = [jax.jit(value_and_gradients)(x[run], kernel[run]) for run in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    chex.assert_trees_all_close(together, stacked, rtol=2e-4, atol=2e-4)


def test_works_inside_scan():
    x, kernel = make(1, 1, 3, 3)
    down = make(6, 6, 3, 3)[1]

    def body(y: chex.Array, scale: chex.Array) -> tuple[chex.Array, None]:
        y = conv_transpose(y, kernel, "matmul")
        y = conv_transpose(y, scale * kernel, "matmul")
        return conv(y, down, "matmul"), None

    y, _ = lax.scan(body, jnp.asarray(x), jnp.array([0.1, -0.2]))
    expected = x
    for scale in (0.1, -0.2):
        expected = loop_transpose(loop_transpose(expected, kernel), scale * kernel)
        expected = loop_conv(expected, down)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("op", [conv, conv_transpose])
def test_refuses_wrong_shapes(op: Callable):
    x, kernel = make(6, 6, 2, 3)
    with pytest.raises(AssertionError):
        op(x[0], kernel, "matmul")
    with pytest.raises(AssertionError):
        op(x, kernel[:3], "matmul")
    with pytest.raises(AssertionError):
        op(x[..., :1], kernel, "lax")


def test_refuses_images_smaller_than_the_kernel():
    x, kernel = make(3, 8, 2, 3)
    with pytest.raises(ValueError, match="not 3x8"):
        conv(x, kernel, "matmul")


@pytest.mark.parametrize("op", [conv, conv_transpose])
def test_unknown_form_names_the_choices(op: Callable):
    x, kernel = make(6, 6, 2, 3)
    with pytest.raises(ValueError, match="unknown form 'fft': one of lax, matmul"):
        op(x, kernel, "fft")


def test_matrix_products_are_used_unless_measured_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for backend in ("cpu", "gpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        assert default_form() == "matmul"
    forms.remember({"conv": "lax"})
    assert default_form() == "lax"
