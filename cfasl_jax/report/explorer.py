"""The interactive part of the page: its controls as HTML, and its data as JSON."""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from cfasl_jax.report.analysis import Part, Run, kl_order
from cfasl_jax.report.html import asset, symbols, text

_WORDS = (
    "The decoder runs in this page: each image is computed from the sliders as they "
    "move. Dimensions set the code z"
)
_OF_SECTIONS = (
    "; sections then act on it, as z expm(amount G_s) with the generators of all moved "
    "sections summed"
)


def explorer(run: Run) -> str:
    """The explorer's HTML with its data and scripts; empty without a decoder."""
    part = run.part("explorer")
    if not part:
        return ""
    kl, active = run.arrays["traversals/kl"], run.arrays["traversals/active"]
    pairs = _pair_panel(part) if "attention" in part else ""
    words = _WORDS + (_OF_SECTIONS if "section_generators" in part else "") + "."
    layers = [pack_layer(layer) for layer in run.parts("explorer/layers")]
    payload = json.dumps(_payload(part, layers), separators=(",", ":"))
    return (
        f'<div id="explorer">\n<p>{symbols(words)}</p>\n'
        "<noscript><p>The explorer needs JavaScript.</p></noscript>"
        f"{_single_panel(part, kl, active)}\n{pairs}</div>\n"
        f'<script type="application/json" id="explorer-data">{payload}</script>\n'
        f"<script>\n{asset('kernel.js')}\n{asset('explorer.js')}</script>"
    )


def pack(array: np.ndarray) -> str:
    """An array as base64 of little-endian float32, row by row."""
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def pack_layer(layer: Part) -> dict[str, Any]:
    """A decoder layer as the page's script reads it."""
    packed: dict[str, Any] = {
        name: pack(array)
        for name, array in layer.items()
        if name not in ("kind", "relu")
    }
    packed |= {"kind": str(layer["kind"]), "relu": bool(layer["relu"])}
    if packed["kind"] == "transposed_conv":
        packed["inputs"] = layer["kernel"].shape[2]
    if packed["kind"] == "lie":
        packed["size"] = layer["generators"].shape[-1]
    return packed


def _payload(part: Part, layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Everything that the script reads."""
    n, D = part["latents"].shape
    S, L, E = part["generators"].shape[:3] if "generators" in part else (0, 0, 0)
    packed = {
        name: pack(array)
        for name, array in part.items()
        if name != "images" and not name.startswith("layers/")
    }
    sizes = {"examples": n, "dims": D, "sections": S, "elements": L, "rows": E}
    channels = part["images"].shape[-1]
    return {"layers": layers, "channels": channels, **sizes, **packed}


def _thumbnail(image: np.ndarray) -> str:
    """An image [H, W, C] as a PNG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(
        buffer, "PNG"
    )
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _choices(name: str, legend: str, images: Sequence[np.ndarray], first: int) -> str:
    """A group of radio buttons, each with an image."""
    items = "".join(
        f'<label><input type="radio" name="{name}" value="{i}"'
        f'{" checked" if i == first else ""}><img src="{_thumbnail(image)}" '
        f'alt="example {i}"></label>'
        for i, image in enumerate(images)
    )
    return (
        f'<fieldset class="choices"><legend>{text(legend)}</legend>'
        f"<div>{items}</div></fieldset>"
    )


def _slider(
    name: str, attributes: str, reach: tuple[float, float], value: float = 0.0
) -> str:
    """A labelled slider that shows its value; 0 is always one of its stops."""
    step = (reach[1] - reach[0]) / (100 if reach[0] else 20)
    return (
        f'<label class="slider"><span>{text(name)}</span>'
        f'<input type="range" {attributes} min="{reach[0]}" max="{reach[1]}" '
        f'step="{step:g}" value="{value}"><output>{value:.2f}</output></label>'
    )


def _sliders(legend: str, sliders: Sequence[str]) -> str:
    """A group of sliders."""
    return (
        f"<fieldset><legend>{text(legend)}</legend>"
        f'<div class="sliders">{"".join(sliders)}</div></fieldset>'
    )


def _canvas(part: Part, name: str, caption: str) -> str:
    """A canvas of the images' size with a caption."""
    height, width = part["images"].shape[1:3]
    return (
        f'<figure><canvas id="explorer-{name}" width="{width}" height="{height}" '
        f'role="img" aria-label="{text(caption)}"></canvas>'
        f"<figcaption>{symbols(caption)}</figcaption></figure>"
    )


def _picture(name: str, caption: str) -> str:
    """An image that the script fills in."""
    return (
        f'<figure><img id="explorer-{name}" alt="{text(caption)}">'
        f"<figcaption>{symbols(caption)}</figcaption></figure>"
    )


def _single_panel(part: Part, kl: np.ndarray, active: np.ndarray) -> str:
    """The controls for one example: a slider for each dimension and each section."""
    reach = max(3.0, math.ceil(float(abs(part["latents"]).max())))
    dimensions = [
        _slider(
            f"dim {d}" + ("" if active[d] else " (inactive)"),
            f'data-dimension="{d}"',
            (-reach, reach),
        )
        for d in kl_order(kl, active)
    ]
    sections = ""
    if "section_generators" in part:
        reach = section_reach(part["latents"], part["section_generators"])
        most = float(f"{reach:.1g}")
        sliders = [
            _slider(f"section {s}", f'data-section="{s}"', (-most, most))
            for s in range(len(part["section_generators"]))
        ]
        sections = _sliders("Sections of the codebook, amount", sliders)
    return (
        '<section id="explorer-single" aria-labelledby="explorer-single-title">'
        '<h3 id="explorer-single-title">One example</h3>'
        + _choices("example", "Example", list(part["images"]), 0)
        + '<div class="views">'
        + _picture("original", "image")
        + _canvas(part, "image", "decoded")
        + "</div>"
        + _sliders("Latent dimensions, largest KL first", dimensions)
        + sections
        + '<button type="button" id="explorer-reset">Back to the example</button>'
        "</section>"
    )


def section_reach(latents: np.ndarray, generators: np.ndarray) -> float:
    """The amount by which a typical section moves a typical code by 2.

    A traversal also goes as far as 2. Generators of different models differ in size.

    Args:
        latents: codes, [n, D].
        generators: one for each section, [S, E, E].
    """
    D = latents.shape[1]
    # With D + 1 rows, a generator acts on [z, 1].
    ones = np.ones((len(latents), generators.shape[-1] - D))
    velocity = np.concatenate([latents, ones], axis=1) @ generators
    speed = np.linalg.norm(velocity[..., :D], axis=-1)
    return 2.0 / max(float(np.median(speed)), 1e-6)


def _pair_panel(part: Part) -> str:
    """The controls for a pair: two choices, the switches and the amount."""
    second = min(1, len(part["images"]) - 1)
    boxes = "".join(
        f'<label><input type="checkbox" data-switch="{s}"> {s}</label>'
        for s in range(len(part["generators"]))
    )
    return (
        '<section id="explorer-pair" aria-labelledby="explorer-pair-title">'
        '<h3 id="explorer-pair-title">Two examples and the symmetry between them</h3>'
        + _choices("first", "First example", list(part["images"]), 0)
        + _choices("second", "Second example", list(part["images"]), second)
        + '<div class="views">'
        + _picture("first", "x_1")
        + _canvas(part, "composed", "decode(z_1 g_c)")
        + _picture("second", "x_2")
        + "</div>"
        + _sliders(
            "Amount of the symmetry",
            [_slider("amount", 'id="explorer-amount"', (0, 1), value=1.0)],
        )
        + '<fieldset class="switches"><legend>Sections switched on</legend>'
        f"<div>{boxes}</div></fieldset>"
        '<button type="button" id="explorer-predicted">Back to the prediction</button>'
        "</section>"
    )
