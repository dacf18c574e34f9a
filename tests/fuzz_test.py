"""Random bad input: an answer that makes sense, or one sentence; never anything else.

Each test draws its cases from a fixed seed, so that a failure can be made again; the
number of the case is in the traceback's `case`.
"""

import json
import math
import re
from pathlib import Path

import h5py
import metrics_reference
import numpy as np
import pytest
import report_synthetic as synthetic
import tiny
from PIL import Image

from cfasl_jax import command_line, files, metrics
from cfasl_jax import config as config_lib
from cfasl_jax.data import custom
from cfasl_jax.errors import ConfigError
from cfasl_jax.report import analysis, page
from cfasl_jax.run import analyze, provenance
from cfasl_jax.settings import flatten
from cfasl_jax.training import record
from configs import default

CONFIGS = Path(__file__).parent.parent / "configs"

# Numbers that have broken programs.
NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 2**31 - 1, 2**31, 2**63, 10**30, True, False),
    *(0.0, -0.0, 0.5, 1.5, -1.5, 1e-320, 1e-200, 1e30, 1e38, 1e39, 1e300),
    *(math.inf, -math.inf, math.nan),
)
TEXTS = ("", " ", "x", "a/b", "../a", "ä ö", "\0", "\n", "x" * 300, "1", "nan", "None")
OTHERS = (None, [], {}, (), [1], {"x": 1}, (1, 2), ((1, 2),), ["x"], [[None]])


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]


def anything(rng):
    """A value of any kind that a file of Python or JSON can hold."""
    return pick(rng, *pick(rng, NUMBERS, TEXTS, OTHERS))


def answer(function, *arguments, errors=ValueError):
    """What a function returns; None after an error that is one sentence."""
    try:
        return function(*arguments)
    except errors as error:
        sentence = str(error)
        assert sentence.strip()
        assert "\n" not in sentence.strip()
        assert not re.search(r"Traceback|object at 0x", sentence)
        return None


def awkward_array(rng, shape):
    """Numbers [*shape] of any type, often with something wrong about them."""
    values = rng.normal(size=shape)
    values = pick(
        rng, values, 3 * values // 1, 0 * values, values * pick(rng, *NUMBERS)
    )
    if rng.random() < 0.3 and values.size:
        places = rng.integers(values.size, size=rng.integers(1, 4))
        values.flat[places] = pick(rng, *NUMBERS)
    kind = pick(rng, *"dddddfeiilLbB?FUSO")
    if kind in "iIlLbB":
        values = np.nan_to_num(values, posinf=9, neginf=-9).clip(-99, 99)
    array = values.astype(kind)
    return pick(rng, array, array, array, np.asfortranarray(array), array[..., None])


PROTOCOL = metrics_reference.TINY
SCORED = ["mig", "sap", "fvm", "z_diff", "modularity", "infomec", "irs"]


@pytest.mark.filterwarnings("ignore")  # of casts in making the arrays
@pytest.mark.parametrize("labelled", [True, False])
def test_arrays_are_scored_or_refused(labelled):
    rng, scored = np.random.default_rng(1), 0
    for case in range(60):
        rows = pick(rng, 0, 1, 20, *[300] * 7)
        codes = rng.normal(size=(rows, pick(rng, 1, 2, 3, 4)))
        if rng.random() < 0.6:
            codes = awkward_array(rng, codes.shape)
        if labelled:
            sizes = rng.integers(2, 6, size=pick(rng, 1, 2, 3, 3))
            factors = rng.integers(0, sizes, (rows, len(sizes)))
            factors = pick(rng, factors, factors, factors - 7, factors * 2**40)
            if rng.random() < 0.2:
                factors = awkward_array(rng, factors.shape)
            chosen = [name for name in SCORED if rng.random() < 0.4]
            results = answer(
                lambda c=codes, f=factors, m=chosen: metrics.score_arrays(
                    c, f, PROTOCOL, metrics=m, chance=False, jobs=1
                )
            )
        else:
            results = answer(metrics.score_unsupervised, codes, PROTOCOL)
        for name, entry in (results or {"scores": {}})["scores"].items():
            low, high = entry["interval"] or (entry["value"],) * 2
            assert math.isfinite(entry["value"]), (case, name)
            assert low <= entry["value"] + 1e-9, (case, name)
            assert entry["value"] <= high + 1e-9, (case, name)
        if results:
            json.dumps(results, allow_nan=False)
            assert metrics.format_scores(results)
            scored += 1
    assert 5 < scored < 55


def test_configurations_are_sound_or_refused():
    rng, accepted = np.random.default_rng(2), 0
    names = list(flatten(default.get_config().to_dict()))
    for case in range(600):
        fields = default.get_config().to_dict()
        for name in rng.choice(names, size=rng.integers(1, 3)):
            *groups, last = name.split(".")
            group = fields
            for part in groups[: len(groups) if rng.random() < 0.9 else 0]:
                group = group[part]
            group[last] = anything(rng)
        config = answer(config_lib.from_dict, fields, errors=ConfigError)
        if config is None:
            continue
        accepted += 1
        stored = json.loads(json.dumps(config_lib.to_dict(config), allow_nan=False))
        assert config_lib.from_stored(stored) == (config, []), case
        # They are float32 and int32 on the device.
        for value in flatten(stored).values():
            assert (
                not isinstance(value, int | float)
                or abs(value) < 2**31
                or (isinstance(value, float) and abs(value) <= 1e30)
            ), case
    assert 20 < accepted < 500


def test_command_lines_are_sound_or_refused():
    rng = np.random.default_rng(3)
    names = [*flatten(default.get_config().to_dict()), "", "beta.x", "betta", "Beta"]
    texts = [repr(value) for value in (*NUMBERS, *OTHERS)] + list(TEXTS)
    for case in range(120):
        file = pick(
            rng, *["dsprites.py"] * 8, "dsprites", "", "none.py", "dsprites.py:x"
        )
        arguments = [f"--config={CONFIGS / file}"] if rng.random() < 0.9 else []
        for _ in range(rng.integers(1, 3)):
            field = f"config.{pick(rng, *names)}"
            flag = pick(rng, field, field, field, "mode", "workdir", "compare", "x")
            text = pick(rng, *texts).replace("\0", "")
            arguments.append(pick(rng, *[f"--{flag}={text}"] * 8, f"--{flag}", text))
        command = answer(command_line.parse, ["main", *arguments], errors=ConfigError)
        if command and command.config:
            assert answer(config_lib.validate, command.config) is None, case
            assert command.mode in config_lib.MODES


def read(source):
    """The images of a user's own data, uint8 [N, 64, 64, C], and factors or None."""
    recipe = custom.recipe(source)
    images = np.zeros(recipe.contents.shape, np.uint8)
    for places, block in recipe.blocks():
        images[places] = block
    return images, recipe.contents


def damaged(rng, content):
    """Bytes with a piece overwritten, cut off, or all of it replaced."""
    if not content or rng.random() < 0.1:
        return pick(
            rng, b"", b"{", b"[" * 100_000, b"\xff\xfe{}", b"null", rng.bytes(99)
        )
    start = int(rng.integers(len(content)))
    middle = pick(rng, b"", rng.bytes(4), rng.bytes(400), bytes(64))
    rest = content[start + len(middle) :]
    return content[:start] + middle + pick(rng, rest, rest, b"")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_files_of_images_are_read_or_refused(tmp_path, suffix):
    rng, whole = np.random.default_rng(4), 0
    path = tmp_path / f"mine{suffix}"
    for case in range(100):
        rows = pick(rng, 0, 1, 6, 6, 6)
        images = rng.integers(0, 256, (rows, 64, 64, pick(rng, 1, 1, 3)), np.uint8)
        arrays = {"images": pick(rng, images, images, images / 255, images[..., 0])}
        if rng.random() < 0.4:
            arrays["images"] = awkward_array(rng, (rows, 64, 64, pick(rng, 1, 2, 3, 4)))
        if rng.random() < 0.6:
            factors = np.stack(np.divmod(np.arange(rows), 3), axis=1)
            arrays["factors"] = pick(rng, factors, awkward_array(rng, factors.shape))
            names = [pick(rng, *TEXTS, "a", "b").replace("\0", "") for _ in range(2)]
            arrays["factor_names"] = np.array(names[: pick(rng, 2, 2, 2, 1, 0)])
        kept = {name: array for name, array in arrays.items() if rng.random() < 0.95}
        if suffix == ".npz":
            np.savez(path, **kept)
        else:
            with h5py.File(path, "w") as file:
                for name, array in kept.items():
                    if array.dtype.kind in "USO":
                        array = np.char.encode(array.astype("U"), "utf-8")
                    file[name] = array
        if rng.random() < 0.3:
            path.write_bytes(damaged(rng, path.read_bytes()))
        found = answer(read, path)
        if found:
            whole += 1
            images, contents = found
            assert images.shape[1:3] == (64, 64), case
            labels = contents.grid or contents.labels
            assert labels is None or min(labels.sizes) > 1, case
            assert labels is None or len(set(labels.names)) == len(labels.names), case
    assert 10 < whole < 90


def test_folders_of_pictures_are_read_or_refused(tmp_path):
    rng, whole = np.random.default_rng(5), 0
    for case in range(60):
        folder = tmp_path / str(case)
        folder.mkdir()
        for number in range(rng.integers(0, 4)):
            ending = pick(rng, *[".png", ".jpg", ".gif", ".webp", ".bmp", ".tif"] * 3)
            ending = pick(rng, *[ending] * 9, ".txt", ".pdf", ".PNG")
            name = f"{pick(rng, '', '._', 'ä ', 'sub/')}{number}{ending}"
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            size = pick(rng, (64, 64), (1, 1), (1, 300), (90, 70))
            mode = pick(rng, "RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I;16", "F")
            picture = Image.new(mode, size)
            try:
                picture.save(path)
            except (OSError, ValueError, KeyError):  # a format without that mode
                path.write_bytes(rng.bytes(40))
            if rng.random() < 0.1:
                path.write_bytes(damaged(rng, path.read_bytes()))
            if rng.random() < 0.05:
                path.unlink()
                pick(rng, path.mkdir, lambda p=path: p.symlink_to("nowhere"))()
        found = answer(read, folder)
        if found:
            whole += 1
            assert found[0].shape[1:3] == (64, 64), case
            assert found[0].shape[3] in (1, 3), case
    assert 10 < whole < 50


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A working directory of a finished run; figures are left out of its page."""
    for name in ("write_figures", "write_animations"):
        monkeypatch.setattr(page, name, lambda *_: ([], []))
    monkeypatch.setattr(page, "write_losses", lambda *_: 1 / 0)
    monkeypatch.setattr(page, "write_index", lambda *_: None)
    config = tiny.config(seeds=(7, 8))
    provenance.claim(tmp_path, config, tiny.dataset().spec)
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    results = synthetic.RESULTS | {"step": 4, "left_out": ["nothing"]}
    files.write_json(tmp_path / "results.json", results)
    lines = [{"step": s, "loss": [1.0, 2.0], "eval/mig": [0.1, 0.2]} for s in (2, 4)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text)
    runs = [synthetic.baseline(run=run, label=f"seed {7 + run}") for run in (0, 1)]
    belongs = analyze._belongs_to(config, results)
    analysis.save(tmp_path / "analysis.npz", runs, belongs)
    return tmp_path


def mutated(rng, value):
    """Parsed JSON with one part, somewhere in it, replaced or left out."""
    if rng.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return anything(rng)
    if isinstance(value, list):
        place = rng.integers(len(value))
        return [*value[:place], mutated(rng, value[place]), *value[place + 1 :]]
    key = pick(rng, *value)
    rest = {name: part for name, part in value.items() if name != key}
    return pick(rng, *[value | {key: mutated(rng, value[key])}] * 4, rest)


def test_damaged_working_directories_are_read_or_refused(finished):
    rng, drawn = np.random.default_rng(6), 0
    sound = {path: path.read_bytes() for path in finished.glob("*.*")}
    assert {path.name for path in sound} >= {"config.json", "analysis.npz"}
    config = provenance.stored(finished).config
    assert analyze.redraw(config, finished)

    def use():
        """What a second call on the directory reads of it."""
        kept = provenance.stored(finished).config
        record.read(finished)
        record.read_scores(finished)
        record._forget_after(finished / "metrics.jsonl", 2)
        return analyze.redraw(kept, finished)

    for _ in range(150):
        for path, content in sound.items():
            path.write_bytes(content)
        path = pick(rng, *sorted(sound))
        if path.suffix == ".json" and rng.random() < 0.7:
            path.write_text(json.dumps(mutated(rng, json.loads(path.read_text()))))
        elif path.suffix == ".jsonl" and rng.random() < 0.7:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            place = rng.integers(len(lines))
            lines[place] = mutated(rng, lines[place])
            path.write_text("\n".join(map(json.dumps, lines)))
        else:
            path.write_bytes(damaged(rng, sound[path]))
        drawn += answer(use, errors=ConfigError) is not None
    assert 30 < drawn < 140
