"""The page's JavaScript computes what JAX and scipy compute, in Node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import report_synthetic as synthetic
import scipy.linalg

from cfasl_jax import report
from cfasl_jax.report.explorer import pack, pack_layer
from cfasl_jax.run.export import decode

KERNEL = Path(report.__file__).parent / "kernel.js"
NODE = shutil.which("node") or shutil.which("nodejs")

needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


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
