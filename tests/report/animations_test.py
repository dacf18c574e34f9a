"""Animations: the right frames, to and fro, in the file and in the page."""

import base64
import io

import numpy as np
import report_synthetic as synthetic
from PIL import Image

from cfasl_jax.report import html
from cfasl_jax.report.animations import write_animations

WHOLE = synthetic.complete()


def test_animations_run_to_and_fro(tmp_path):
    saved, failed = write_animations(WHOLE, tmp_path)
    assert failed == []
    assert [figure.name for figure in saved] == [
        "traversals_animated",
        "section_action_animated",
        "composition_animated",
    ]
    clip = Image.open(saved[1].image)
    assert clip.n_frames == 2 * synthetic.T - 2
    for frame, step in ((1, 1), (synthetic.T, synthetic.T - 2)):
        clip.seek(frame)
        shown = np.asarray(clip.convert("RGB")).astype(int)[18 + 30, 30]
        expected = WHOLE.part("section_action")["frames"][0, step, 15, 15]
        np.testing.assert_allclose(shown, expected, atol=8)


def test_animations_in_the_page_keep_their_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "_LARGE", 0)
    path = write_animations(WHOLE, tmp_path)[0][1].image
    kind, content = html.data_uri(path).split(";base64,")
    assert kind == "data:image/webp"
    shown = Image.open(io.BytesIO(base64.b64decode(content)))
    file = Image.open(path)
    assert shown.n_frames == file.n_frames
    for frame in (1, file.n_frames - 1):
        shown.seek(frame)
        file.seek(frame)
        difference = np.asarray(shown.convert("RGB"), float) - file.convert("RGB")
        assert abs(difference).mean() < 4
        assert shown.info["duration"] == file.info["duration"]
