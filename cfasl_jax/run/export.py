"""A trained model as arrays with which the report's page computes its images.

The page decodes in JavaScript, from a list of layers:

    dense             y = x kernel + bias; kernel [I, O]
    transposed_conv   4 x 4, stride 2, padding 1; kernel [4, 4, I, O]. Input pixel
                      (i, j) adds x[i, j] kernel[a, b] to output pixel
                      (2 i + a - 1, 2 j + b - 1), where that lies in the image. The
                      first one reads the output of the layer before it as [h, h, I].
    lie               z -> expm(sum_i z_i G_i), flattened; generators [D, M, M]

A ReLU follows where `relu`, a sigmoid after the last layer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.linalg
from flax.traverse_util import flatten_dict

from cfasl_jax.report.analysis import numbered
from cfasl_jax.run.model import Model, section_generators

Layer = dict[str, Any]

# Largest difference between a pixel of the exported decoder, in float64, and of the
# model, in float32. It is below half of one of 255 grey levels.
_TOLERANCE = 1e-3


class ExportError(ValueError):
    """The page cannot run this decoder; the message says why."""


def explorer(model: Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """The decoder, the codebook and some examples, as `explorer/...` of an analysis.

    Args:
        model: whose decoder is a stack as in `decoder_layers`.
        images: uint8 [n, 64, 64, C], the examples.

    Raises:
        ExportError: the exported decoder is not the model's.
    """
    latents = np.asarray(model.encode(images).mu)
    layers = decoder_layers(model.params["decoder"])
    _require_same_image(layers, model, latents[:1])
    arrays = {"images": images, "latents": latents}
    if model.has_codebook:
        n = len(images)
        first, second = np.divmod(np.arange(n * n), n)
        _, switch, attention = model.symmetry(images[first], images[second])
        arrays |= {
            "section_generators": np.asarray(section_generators(model.generators())),
            "generators": np.asarray(model.generators()),
            "switch": np.asarray(switch).reshape(n, n, -1),
            "attention": np.asarray(attention).reshape(n, n, *attention.shape[1:]),
        }
    return {
        **{f"explorer/{name}": array for name, array in arrays.items()},
        **numbered("explorer/layers", layers),
    }


def decoder_layers(params: Mapping[str, Any]) -> list[Layer]:
    """A decoder's parameters in the order in which they act.

    Args:
        params: of `models.vae.Decoder`: two dense layers, "hidden" and "start", then
            the transposed convolutions "conv_0", "conv_1", ... A `LieDecoder` has
            these below "reader", and "generators" [D, M, M]: its dense layers read
            the matrix expm(sum_i z_i G_i) instead of z.

    Raises:
        ExportError: there are other parameters, which the page would ignore.
    """
    flat = flatten_dict(params, sep="/")
    left = {name: np.asarray(leaf) for name, leaf in flat.items()}
    layers: list[Layer] = []
    start = ""
    if "generators" in left:
        generators = left.pop("generators")
        layers.append({"kind": "lie", "generators": generators, "relu": False})
        start = "reader/"
    convs = sum(name.startswith(f"{start}conv_") for name in left) // 2
    kinds = {"hidden/affine": "dense", "start/affine": "dense"}
    kinds |= {f"conv_{i}": "transposed_conv" for i in range(convs)}
    try:
        for name, kind in kinds.items():
            kernel, bias = (left.pop(f"{start}{name}/{p}") for p in ("kernel", "bias"))
            layers.append({"kind": kind, "kernel": kernel, "bias": bias, "relu": True})
    except KeyError as error:
        raise ExportError(
            f"the page cannot run this decoder: it has no parameter {error}"
        ) from error
    if left:
        raise ExportError(
            "the page cannot run this decoder: it would ignore the parameters "
            f"{', '.join(sorted(left))}"
        )
    layers[-1]["relu"] = False
    return layers


def decode(layers: Sequence[Layer], z: np.ndarray) -> np.ndarray:
    """Images [n, H, W, C] of latents [n, D], as the page computes them, in float64."""
    x = np.asarray(z, float)
    for layer in layers:
        if layer["kind"] == "lie":
            algebra = np.einsum("nd,dij->nij", x, layer["generators"])
            x = scipy.linalg.expm(algebra).reshape(len(x), -1)
        elif layer["kind"] == "dense":
            x = x @ layer["kernel"] + layer["bias"]
        else:
            x = _transposed_conv(x, layer["kernel"]) + layer["bias"]
        if layer["relu"]:
            x = np.maximum(x, 0)
    return 1 / (1 + np.exp(-x))


def _transposed_conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """x [n, h, h, I], or flat, with a kernel [4, 4, I, O] -> [n, 2 h, 2 h, O]."""
    n, side = len(x), int(np.sqrt(x[0].size / kernel.shape[2]))
    x = x.reshape(n, side, side, -1)
    # With an additional pixel at each edge, which is cut off at the end.
    y = np.zeros((n, 2 * side + 2, 2 * side + 2, kernel.shape[3]))
    for a in range(4):
        for b in range(4):
            y[:, a : a + 2 * side : 2, b : b + 2 * side : 2] += x @ kernel[a, b]
    return y[:, 1:-1, 1:-1]


def _require_same_image(layers: Sequence[Layer], model: Model, z: np.ndarray) -> None:
    """Check that the exported layers decode z [1, D] as the model does."""
    exported, image = decode(layers, z), np.asarray(model.decode(z))
    if exported.shape != image.shape:
        raise ExportError(
            f"the page cannot run this decoder: it would make images of the shape "
            f"{exported.shape[1:]} instead of {image.shape[1:]}"
        )
    worst = float(np.abs(exported - image).max())
    if not worst <= _TOLERANCE:
        raise ExportError(
            "the page cannot run this decoder: its image would differ from the "
            f"model's by {worst:.2g} of the range from 0 to 1"
        )
