"""A trained model as the arrays with which the report's page runs it by itself."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from cfasl_jax.report import arrays
from cfasl_jax.report.decoder import Layer
from cfasl_jax.run.model import Model, section_generators


def explorer(model: Model, images: np.ndarray) -> arrays.Explorer:
    """The decoder and the codebook as arrays that the page can run, with examples.

    Args:
        model: whose decoder is a stack as in `decoder_layers`.
        images: uint8 [n, 64, 64, C], the examples.
    """
    shown = arrays.Explorer(
        decoder=decoder_layers(model.params["decoder"]),
        images=images,
        latents=np.asarray(model.encode(images).mu),
    )
    if not model.has_codebook:
        return shown
    n = len(images)
    first, second = np.divmod(np.arange(n * n), n)
    _, switch, attention = model.symmetry(images[first], images[second])
    return dataclasses.replace(
        shown,
        section_generators=np.asarray(section_generators(model.generators())),
        generators=np.asarray(model.generators()),
        switch=np.asarray(switch).reshape(n, n, -1),
        attention=np.asarray(attention).reshape(n, n, *attention.shape[1:]),
    )


def decoder_layers(params: Mapping[str, Any]) -> list[Layer]:
    """A decoder's parameters in the order in which they act.

    Args:
        params: of `models.vae.Decoder`: two dense layers, "hidden" and "start", then
            the transposed convolutions "conv_0", "conv_1", ... A `LieDecoder` has
            these below "reader", and "generators" [D, m, m]: its dense layers read
            the matrix expm(sum_i z_i G_i) instead of z.
    """
    params = jax.tree.map(np.asarray, dict(params))
    layers: list[Layer] = []
    if "generators" in params:
        layers.append(arrays.LieLayer(params["generators"]))
        params = params["reader"]
    layers += [
        arrays.DenseLayer(**params[name]["affine"]) for name in ("hidden", "start")
    ]
    convs = sorted(name for name in params if name.startswith("conv_"))
    return layers + [
        arrays.TransposedConvLayer(**params[name], relu=name != convs[-1])
        for name in convs
    ]
