"""The page's explorer against the project's own decoders, whole, in a real browser."""

import dataclasses

import jax
import numpy as np
import pytest
import report_synthetic as synthetic
import scipy.linalg
from browser import drive, needs_browser

from cfasl_jax.models.lie_vae import LieDecoder
from cfasl_jax.models.vae import Decoder
from cfasl_jax.report import explorer, html
from cfasl_jax.report.analysis import Run, numbered
from cfasl_jax.run import export
from cfasl_jax.run.model import section_generators
from cfasl_jax.types import Posterior

D, L, N = 10, 3, 4

SCRIPT = """
const shot = (name, canvas, code) => {
  const z = [...code()];
  const image = [...Kernel.decode(Explorer.layers, z)];
  const pixels = document.querySelector(canvas).getContext("2d")
    .getImageData(0, 0, 64, 64).data;
  seen[name] = { z, image, pixels: [...pixels] };
};
const values = (selector) => [...document.querySelectorAll(selector)]
  .map((input) => [+(input.dataset.dimension ?? input.dataset.section), +input.value]);
move('input[name="example"][value="1"]');
for (let d = 0; d < 10; d++) move(`[data-dimension="${d}"]`, Math.cos(3 * d));
seen.dimensions = values("[data-dimension]");
shot("latents", "#explorer-image", Explorer.currentCode);
move('[data-section="4"]', 0.6);
seen.sections = values("[data-section]");
shot("section", "#explorer-image", Explorer.currentCode);
move("#explorer-reset");
shot("reset", "#explorer-image", Explorer.currentCode);
move('input[name="first"][value="2"]');
move('input[name="second"][value="3"]');
move("#explorer-amount", 0.45);
seen.amount = +document.querySelector("#explorer-amount").value;
seen.switches = [...document.querySelectorAll("[data-switch]")].map((b) => b.checked);
shot("composition", "#explorer-composed", Explorer.pairCode);
move('[data-switch="1"]');
shot("flipped", "#explorer-composed", Explorer.pairCode);
"""


def decoder_of(kind, channels):
    """A decoder of full size with random weights whose images are not all grey."""
    if kind == "lie":
        decoder = LieDecoder(D, channels, generator_init="xavier")
    else:
        decoder = Decoder({1: 128, 3: 256}[channels], channels)
    params = decoder.init(jax.random.key(channels), np.zeros((1, D), np.float32))
    params = jax.tree.map(lambda leaf: 2.0 * leaf, params["params"])
    return decoder, params


@pytest.fixture(
    scope="module", params=[("plain", 1, D), ("plain", 3, D + 1), ("lie", 3, D)]
)
def driven(request, tmp_path_factory):
    """A decoder, the explorer's arrays, and what the page shows of them."""
    kind, channels, E = request.param
    decoder, params = decoder_of(kind, channels)
    rng = np.random.default_rng(channels)
    generators = (0.2 * rng.normal(size=(D, L, E, E))).astype(np.float32)
    generators[..., D:] = 0  # an affine generator leaves the 1 in [z, 1] alone
    part = {
        "images": synthetic.images(rng, N, channels=channels),
        "latents": rng.normal(size=(N, D)).astype(np.float32),
        "section_generators": np.asarray(section_generators(generators)),
        "generators": generators,
        "switch": (rng.random((N, N, D)) < 0.7).astype(np.float32),
        "attention": rng.dirichlet(np.ones(L), (N, N, D)).astype(np.float32),
    }
    layers = numbered("explorer/layers", export.decoder_layers(params))
    arrays = {f"explorer/{name}": array for name, array in part.items()} | layers
    kl = {"traversals/kl": np.ones(D), "traversals/active": np.ones(D, bool)}
    shown = explorer.explorer(Run(0, "", arrays | kl))
    page = tmp_path_factory.mktemp("explorer") / "page.html"
    page.write_text(html.document("Page", "", [("explore", "Explorer", shown)]))
    return decoder, params, part, drive(page, SCRIPT)


def check(driven, moment, z):
    """The page's code is z, and its image, on the canvas too, is JAX's of z."""
    decoder, params, _, seen = driven
    shown = seen[moment]
    np.testing.assert_allclose(shown["z"], z, rtol=1e-5, atol=1e-5)
    logits = decoder.apply({"params": params}, np.asarray(z, np.float32)[None])
    expected = np.asarray(jax.nn.sigmoid(logits))[0]
    assert expected.std() > 0.02
    image = np.array(shown["image"]).reshape(expected.shape)
    np.testing.assert_allclose(image, expected, atol=1e-4)
    pixels = np.array(shown["pixels"]).reshape(64, 64, 4)[..., :3]
    colors = np.broadcast_to(expected, pixels.shape)
    np.testing.assert_allclose(pixels, 255 * colors, atol=0.6)


@pytest.mark.parametrize(("kind", "channels"), [("plain", 1), ("lie", 3)])
def test_exported_layers_decode_as_the_model_does(kind, channels):
    decoder, params = decoder_of(kind, channels)
    z = np.random.default_rng(0).normal(size=(2, D)).astype(np.float32)
    expected = np.asarray(jax.nn.sigmoid(decoder.apply({"params": params}, z)))
    images = export.decode(export.decoder_layers(params), z)
    np.testing.assert_allclose(images, expected, atol=1e-4)


@dataclasses.dataclass
class Stub:
    """A model with some decoder's parameters, which decodes as another does."""

    params: dict
    images: np.ndarray
    has_codebook: bool = False

    def encode(self, images):
        return Posterior(np.zeros((len(images), D)), np.zeros((len(images), D)))

    def decode(self, z):
        return np.repeat(self.images, len(z), axis=0)


def test_a_decoder_that_the_page_cannot_run_is_refused():
    decoder, params = decoder_of("plain", 1)
    z = np.zeros((1, D), np.float32)
    image = np.asarray(jax.nn.sigmoid(decoder.apply({"params": params}, z)))
    examples = synthetic.images(np.random.default_rng(0), N, channels=1)

    def exported(params, image):
        return export.explorer(Stub({"decoder": params}, image), examples)

    assert "explorer/layers/5/kernel" in exported(params, image)
    with pytest.raises(export.ExportError, match="ignore the parameters norm/scale"):
        exported(params | {"norm": {"scale": np.ones(3)}}, image)
    with pytest.raises(export.ExportError, match="no parameter 'start/affine/kernel'"):
        exported({k: v for k, v in params.items() if k != "start"}, image)
    with pytest.raises(export.ExportError, match=r"would differ from .* 0\.1"):
        exported(params, image + np.float32(0.1))
    with pytest.raises(export.ExportError, match="images of the shape"):
        exported(params, image[:, :32])


@needs_browser
def test_there_are_no_errors_in_the_page(driven):
    assert driven[3]["errors"] == []


@needs_browser
def test_sliders_of_latents(driven):
    z = np.zeros(D)
    for dimension, value in driven[3]["dimensions"]:
        z[dimension] = value
    # A slider goes to the stop nearest to what was asked for.
    np.testing.assert_allclose(z, np.cos(3 * np.arange(D)), atol=0.05)
    check(driven, "latents", z)


def act(z, generator):
    """z expm(A), or [z, 1] expm(A) without the 1."""
    row = np.append(z, 1.0)[: len(generator)]
    return (row @ scipy.linalg.expm(generator.astype(float)))[: len(z)]


@needs_browser
def test_a_section_acts(driven):
    _, _, part, seen = driven
    amounts = dict(seen["sections"])
    assert amounts.pop(4) == pytest.approx(0.6, abs=0.3)
    assert set(amounts.values()) == {0}
    amount = dict(seen["sections"])[4]
    G = part["section_generators"][4]
    check(driven, "section", act(np.array(seen["latents"]["z"]), amount * G))


@needs_browser
def test_reset_shows_the_example_again(driven):
    check(driven, "reset", driven[2]["latents"][1])


@needs_browser
def test_a_composition(driven):
    _, _, part, seen = driven
    assert seen["amount"] == pytest.approx(0.45)
    switch = part["switch"][2, 3].copy()
    assert seen["switches"] == (switch > 0.5).tolist()
    for moment in ("composition", "flipped"):
        attention = part["attention"][2, 3]
        M = np.einsum("s,sl,slij->ij", switch, attention, part["generators"])
        check(driven, moment, act(part["latents"][2], seen["amount"] * M))
        switch[1] = 1 - switch[1]
