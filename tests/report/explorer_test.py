"""The page's JavaScript computes what JAX computes, in Node and in a real browser."""

import json
import shutil
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import report_synthetic as synthetic
import scipy.linalg
from browser import drive, needs_browser

from cfasl_jax import report
from cfasl_jax.models.conv import conv_transpose
from cfasl_jax.report.explorer import pack, pack_layer
from cfasl_jax.report.page import write_report

KERNEL = Path(report.__file__).parent / "kernel.js"
NODE = shutil.which("node") or shutil.which("nodejs")
RUN = synthetic.baseline(**synthetic.explorer(np.random.default_rng(3)))
PART = RUN.part("explorer")

needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


def apply(layer, x):
    """A decoder layer in JAX, with the convolution of the project's decoders."""
    if layer["kind"] == "lie":
        generator = np.einsum("bd,dij->bij", x, layer["generators"])
        return np.stack([scipy.linalg.expm(g) for g in generator]).reshape(len(x), -1)
    if layer["kind"] == "dense":
        return x @ layer["kernel"] + layer["bias"][None]
    if x.ndim == 2:
        side = int(np.sqrt(x.shape[1] / layer["kernel"].shape[2]))
        x = x.reshape(len(x), side, side, -1)
    y = conv_transpose(x, layer["kernel"], "lax")
    return y + layer["bias"][None, None, None]


def decode(layers, z):
    """The images [B, H, W, C] of codes [B, D], in JAX."""
    x = jnp.asarray(z, jnp.float32)
    for layer in layers:
        x = apply(layer, x)
        if layer["relu"]:
            x = jax.nn.relu(x)
    return np.asarray(jax.nn.sigmoid(x))


def node(script, **values):
    """What a script prints as JSON, run by Node with the kernel and these values."""
    preamble = f"const K = require({json.dumps(str(KERNEL))});"
    constants = f"const v = {json.dumps(values)};"
    output = f"console.log(JSON.stringify((() => {{ {script} }})()));"
    done = subprocess.run(
        [NODE, "-e", preamble + constants + output],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return np.array(json.loads(done.stdout))


DECODE = "return [...K.decode(v.layers.map(K.unpack), v.z)];"


@needs_node
@pytest.mark.parametrize("channels", [1, 3])
def test_decoder_equals_jax(channels):
    layers = synthetic.decoder(np.random.default_rng(channels), channels=channels)
    z = np.array([0.3, -1.2, 2.0])
    images = node(DECODE, layers=[pack_layer(x) for x in layers], z=z.tolist())
    expected = decode(layers, z[None])[0]
    assert expected.shape == (64, 64, channels)
    assert expected.std() > 0.1
    np.testing.assert_allclose(images.reshape(expected.shape), expected, atol=1e-5)


@needs_node
def test_lie_decoder_equals_scipy():
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    read = {"kernel": normal(16, 16), "bias": np.zeros(16)}
    drawn = {"kernel": normal(4, 4, 4, 1) / 20, "bias": np.zeros(1)}
    layers = (
        {"kind": "lie", "relu": False, "generators": normal(3, 4, 4)},
        {"kind": "dense", "relu": False, **read},
        {"kind": "transposed_conv", "relu": False, **drawn},
    )
    z = np.array([0.5, -0.4, 0.8])
    image = node(DECODE, layers=[pack_layer(x) for x in layers], z=z.tolist())
    np.testing.assert_allclose(image, decode(layers, z[None]).ravel(), atol=1e-4)


@needs_node
@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.1, 1.0, 5.0])
def test_expm_equals_scipy(scale):
    matrix = scale * np.random.default_rng(1).normal(size=(6, 6))
    group = node("return [...K.expm(v.m, 6)];", m=matrix.ravel().tolist())
    expected = scipy.linalg.expm(matrix)
    np.testing.assert_allclose(group.reshape(6, 6), expected, rtol=1e-9, atol=1e-12)


@needs_node
def test_act_multiplies_row_vectors():
    rng = np.random.default_rng(2)
    z, matrix = rng.normal(size=3), rng.normal(size=(3, 3))
    moved = node(
        "return [...K.act(v.z, v.m)];", z=z.tolist(), m=matrix.ravel().tolist()
    )
    np.testing.assert_allclose(moved, z @ scipy.linalg.expm(matrix), rtol=1e-9)


@needs_node
def test_arrays_survive_packing():
    values = np.array([[1.5, -2.25], [1e-20, 3e7]], np.float32)
    opened = node("return [...K.floats(v.packed)];", packed=pack(values))
    np.testing.assert_array_equal(opened.astype(np.float32), values.ravel())


# Moves the controls as a reader would, and writes what the page then shows.
SCRIPT = """
const shot = (name, canvas, code) => {
  const z = [...code()];
  const pixels = document.querySelector(canvas).getContext("2d")
    .getImageData(0, 0, 64, 64).data;
  const image = [...Kernel.decode(Explorer.layers, z)];
  seen[name] = { z, image, pixels: [...pixels] };
};
shot("start", "#explorer-image", Explorer.currentCode);
move('input[name="example"][value="2"]');
shot("example", "#explorer-image", Explorer.currentCode);
move('[data-dimension="1"]', 1.5);
shot("dimension", "#explorer-image", Explorer.currentCode);
move('[data-section="2"]', -0.75);
move('[data-section="0"]', 0.5);
shot("section", "#explorer-image", Explorer.currentCode);
seen.amounts = [...document.querySelectorAll("[data-section]")].map((x) => +x.value);
move("#explorer-reset");
shot("reset", "#explorer-image", Explorer.currentCode);
move('input[name="first"][value="3"]');
move('input[name="second"][value="1"]');
move("#explorer-amount", 0.35);
shot("pair", "#explorer-composed", Explorer.pairCode);
seen.switches = [...document.querySelectorAll("[data-switch]")].map((b) => b.checked);
move('[data-switch="1"]');
shot("flipped", "#explorer-composed", Explorer.pairCode);
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the page shows while it is driven in a headless browser."""
    folder = tmp_path_factory.mktemp("browser")
    path = write_report([RUN], None, synthetic.RESULTS, synthetic.CONFIG, folder)
    return drive(path, SCRIPT)


def composite(first, second, amount, switch):
    """The code of the first example, moved towards the second, in plain NumPy."""
    generator = np.zeros((synthetic.D, synthetic.D))
    for s in range(synthetic.S):
        for element in range(synthetic.L):
            weight = switch[s] * PART["attention"][first, second, s, element]
            generator += weight * PART["generators"][s, element]
    return PART["latents"][first] @ scipy.linalg.expm(amount * generator)


@needs_browser
def test_page_runs_without_errors(seen):
    assert seen["errors"] == []


@needs_browser
def test_controls_set_the_code(seen):
    expected = PART["latents"][2].astype(float).copy()
    np.testing.assert_allclose(seen["start"]["z"], PART["latents"][0], rtol=1e-6)
    np.testing.assert_allclose(seen["example"]["z"], expected, rtol=1e-6)
    expected[1] = 1.5
    np.testing.assert_allclose(seen["dimension"]["z"], expected, rtol=1e-6)
    # A slider goes to the stop nearest to what was asked for.
    np.testing.assert_allclose(seen["amounts"], [0.5, 0.0, -0.75], atol=0.1)
    generator = np.einsum("s,sij->ij", seen["amounts"], PART["section_generators"])
    moved = expected @ scipy.linalg.expm(generator)
    np.testing.assert_allclose(seen["section"]["z"], moved, rtol=1e-5)
    np.testing.assert_allclose(seen["reset"]["z"], PART["latents"][2], rtol=1e-6)


@needs_browser
def test_a_pair_is_joined_by_its_predicted_symmetry(seen):
    switch = PART["switch"][3, 1].copy()
    assert seen["switches"] == (switch > 0.5).tolist()
    expected = composite(3, 1, 0.35, switch)
    np.testing.assert_allclose(seen["pair"]["z"], expected, rtol=1e-5)
    switch[1] = 1 - switch[1]
    expected = composite(3, 1, 0.35, switch)
    np.testing.assert_allclose(seen["flipped"]["z"], expected, rtol=1e-5)


@needs_browser
@pytest.mark.parametrize(
    "moment", ["start", "example", "dimension", "section", "reset", "pair", "flipped"]
)
def test_images_equal_jax(seen, moment):
    shown = seen[moment]
    expected = decode(RUN.parts("explorer/layers"), np.array([shown["z"]]))[0]
    image = np.array(shown["image"]).reshape(64, 64, 3)
    np.testing.assert_allclose(image, expected, atol=1e-4)
    pixels = np.array(shown["pixels"]).reshape(64, 64, 4)
    np.testing.assert_allclose(pixels[..., :3], 255 * expected, atol=0.6)
    assert (pixels[..., 3] == 255).all()
