"""What the report is drawn from: the right arrays, with whatever factors there are."""

import dataclasses
import shutil
import struct
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.linalg
import tiny
from tensorboardX.proto import event_pb2

from cfasl_jax import main
from cfasl_jax.data.dataset import Labels
from cfasl_jax.report.figures import left_out, write_figures
from cfasl_jax.run import analyze, codebook_probes, probes, tiles
from cfasl_jax.run.codes import Codes
from cfasl_jax.run.factors import controlled
from cfasl_jax.run.model import Model, Symmetry, section_generators
from cfasl_jax.settings import Ours

DATA = tiny.dataset()
LABELS = Labels(
    ("shape", "one", "hue"),
    (3, 1, 2),
    np.stack([np.arange(20) % 3, np.zeros(20, int), np.arange(20) // 10], axis=1),
)


def model_of(cfasl=True, D=3, ours=None):
    objective = tiny.objective(D=D, cfasl=cfasl, ours=ours)
    params = objective.init(jax.random.key(0), DATA.image_shape)
    return Model(objective, params, seed=4, step=0)


@pytest.fixture(scope="module")
def model():
    return model_of()


@pytest.fixture(scope="module")
def whole(model):
    return probes.probe(model, DATA, run=0, name="seed 4", bins=20)


def pixels(model, z):
    """decode, without the tiles and the rounding that the report goes through."""
    return 255 * np.asarray(model.decode(np.asarray(z, np.float32)))


def images(indices):
    return np.asarray(DATA.images(np.asarray(indices, np.int32)))


def test_everything_is_there_where_the_factors_are_a_grid(whole):
    assert whole.label == "seed 4"
    # The linear decoder of these tests is none that the page can run.
    assert list(whole.lacking) == ["explorer"]
    assert "has no parameter 'hidden/" in whole.lacking["explorer"]
    steps = whole.parts("factor_steps")
    assert [str(step["factor"]) for step in steps] == ["x", "y"]
    assert whole.arrays["codes/factors"].shape == (20, 2)
    assert left_out(whole) == {}


def test_posteriors_are_described_dimension_by_dimension(model, whole):
    mu, logvar = (np.float64(part) for part in model.encode(images(np.arange(20))))
    part = whole.part("posteriors")
    for d in range(3):
        ordered = np.sort(mu[:, d])
        # The median of 20 numbers lies between the tenth and the eleventh.
        assert part["quantiles"][d, 2] == pytest.approx(ordered[9:11].mean())
        # Of 19 steps between them, 5% are 0.95 and 25% are 4.75.
        for column, (below, share) in {0: (0, 0.95), 1: (4, 0.75)}.items():
            for values, quantile in [
                (ordered, part["quantiles"][d, column]),
                (-ordered[::-1], -part["quantiles"][d, 4 - column]),
            ]:
                step = values[below + 1] - values[below]
                assert quantile == pytest.approx(values[below] + share * step, rel=1e-5)
        variance = np.exp(logvar[:, d])
        assert part["sigma"][d] == pytest.approx(variance.mean() ** 0.5, rel=1e-5)
        kl = (mu[:, d] ** 2 + variance - logvar[:, d] - 1).mean() / 2
        assert part["kl"][d] == pytest.approx(kl, rel=1e-4)


def test_labels_give_scatter_and_maps_but_nothing_that_needs_a_grid(model):
    dataset = dataclasses.replace(DATA, grid=None, labels=LABELS)
    run = probes.probe(model, dataset, run=0, name="seed 4", bins=20)
    assert run.parts("factor_steps") == []
    assert run.part("equivariance") == {}
    assert run.part("codebook")
    codes = run.part("codes")
    # As scored: a factor of one value alone is left out.
    assert codes["factor_names"].tolist() == ["shape", "hue"]
    assert run.arrays["information/factor_names"].tolist() == ["shape", "hue"]
    assert "missing or occur more often" in run.lacking["grid"]
    # Codes and factors belong to the same images.
    order = np.argsort(codes["latents"][:, 0])
    mu = np.asarray(model.encode(images(np.arange(20))).mu)
    known = np.argsort(mu[:, 0])
    np.testing.assert_array_equal(
        codes["factors"][order], LABELS.factors[known][:, [0, 2]]
    )


def test_with_several_images_of_each_combination_the_unlabelled_factor_stays(model):
    # The five images of each of four combinations differ in y, which has no label.
    factors = np.arange(20)[:, None] // 5
    dataset = dataclasses.replace(DATA, grid=None, labels=Labels(("x",), (4,), factors))
    run = probes.probe(model, dataset, run=0, name="seed 4", bins=20)
    assert "grid" not in run.lacking
    (step,) = run.parts("factor_steps")
    stepped = [images(np.arange(4) * 5 + y) for y in range(5)]
    assert any(np.array_equal(step["originals"], column) for column in stepped)
    assert run.part("equivariance")["factor_names"].tolist() == ["x"]


def test_without_factors_or_codebook_figures_are_left_out_for_a_reason():
    dataset = dataclasses.replace(DATA, grid=None)
    run = probes.probe(model_of(cfasl=False), dataset, run=0, name="seed 4", bins=20)
    for part in ("codes", "information", "composition"):
        assert run.part(part) == {}
    reasons = left_out(run)
    assert set(reasons) == {
        "A baseline has no symmetry codebook.",
        "The data set has no ground-truth factors that vary.",
    }
    assert "Composite symmetry" in reasons["A baseline has no symmetry codebook."]
    assert reasons["The data set has no ground-truth factors that vary."] == [
        "Latent space",
        "Code against factor",
    ]


def test_a_codebook_that_moves_codes_too_far_is_left_out(model):
    strong = jax.tree.map(lambda leaf: 1e4 * leaf, model.params["codebook"])
    wild = dataclasses.replace(model, params={**model.params, "codebook": strong})
    run = probes.probe(wild, DATA, run=0, name="seed 4", bins=20)
    assert run.part("composition") == run.part("codebook") == {}
    assert run.part("traversals")
    why = "The codebook moves latents so far that they cannot be decoded."
    assert "Composite symmetry" in left_out(run)[why]


def test_one_latent_dimension_is_drawn_as_far_as_it_can_be(tmp_path):
    run = probes.probe(model_of(D=1), DATA, run=0, name="seed 4", bins=20)
    (missing,) = left_out(run).values()
    assert missing == ["Latent space", "Covariance of the latents"]
    _, failed = write_figures(run, tmp_path)
    assert failed == []


def test_one_image_has_no_pairs(tmp_path):
    dataset = dataclasses.replace(DATA, grid=None, num_images=1)
    run = probes.probe(model_of(), dataset, run=0, name="seed 4", bins=20)
    reason = "The data set has a single image, so that there are no pairs of images."
    assert "Composite symmetry" in left_out(run)[reason]
    saved, failed = write_figures(run, tmp_path)
    assert failed == []
    names = [figure.name for figure in saved]
    assert names == ["reconstructions", "traversals", "section_action", "posteriors"]


def test_all_runs_are_drawn_the_best_first():
    seeds = {"seeds": [1, 2, 3, 4]}
    scores = {"scores": {"mig": {"values": [0.1, 0.4, 0.3, 0.2]}}}
    assert analyze.drawn_runs(seeds | scores) == [1, 3, 0, 2]
    assert analyze.drawn_runs(seeds) == [0, 1, 2, 3]
    many = {"seeds": list(range(40)), "scores": {"mig": {"values": [0.0] * 39 + [1]}}}
    assert analyze.drawn_runs(many)[0] == 39
    assert len(analyze.drawn_runs(many)) == 12


def test_tiles_do_not_change_what_is_looked_up_or_decoded(model):
    indices = np.arange(150) % 20
    np.testing.assert_array_equal(tiles.lookup(DATA, indices), images(indices))
    z = np.random.default_rng(0).normal(size=(2, 75, 3))
    shown = tiles.decode(model, z)
    assert shown.shape == (2, 75, tiny.SIDE, tiny.SIDE, 1)
    expected = pixels(model, z.reshape(150, 3)).reshape(shown.shape)
    np.testing.assert_allclose(shown, expected, atol=0.51)


def test_a_traversal_sets_one_dimension(model):
    z = np.array([0.5, -1.0, 0.2], np.float32)
    part = probes.traversals(model, z, np.ones(3), np.ones(3, bool))
    moved = z.copy()
    moved[1] = part["traversals/values"][2]
    np.testing.assert_allclose(
        part["traversals/frames"][1, 2], pixels(model, moved[None])[0], atol=0.51
    )
    np.testing.assert_allclose(part["traversals/values"][[0, 4, 8]], [-2, 0, 2])


def test_a_walk_exchanges_the_largest_kl_first(model):
    x1, x2 = images([0, 1]), images([2, 3])
    kl, active = np.array([1.0, 3.0, 2.0]), np.ones(3, bool)
    part = probes.walk(model, x1, x2, kl, active)
    z1, z2 = np.asarray(model.encode(x1).mu), np.asarray(model.encode(x2).mu)
    mixed = np.stack([z1[:, 0], z2[:, 1], z2[:, 2]], axis=1)
    assert part["walk/dimensions"].tolist() == [1, 2, 0]
    np.testing.assert_allclose(
        part["walk/frames"][:, 2], pixels(model, mixed), atol=0.51
    )
    np.testing.assert_allclose(part["walk/frames"][:, 3], pixels(model, z2), atol=0.51)


def moved_by(z, generators):
    """z expm(M), pair by pair, in float64."""
    pairs = zip(np.asarray(z, float), np.asarray(generators, float), strict=True)
    return np.stack([row @ scipy.linalg.expm(matrix) for row, matrix in pairs])


def test_a_composition_ends_with_the_whole_symmetry(model):
    x1, x2 = images([0, 1]), images([2, 3])
    part = codebook_probes.composition(model, x1, x2)
    M = np.asarray(model.symmetry(x1, x2).generator)
    z1 = model.encode(x1).mu
    end = pixels(model, moved_by(z1, M))
    np.testing.assert_allclose(part["composition/path"][:, -1], end, atol=0.52)
    np.testing.assert_allclose(
        part["composition/path"][:, 4], pixels(model, moved_by(z1, M / 2)), atol=0.52
    )


CODES = np.random.default_rng(5).normal(size=(9, 3)).astype(np.float32)


@pytest.mark.parametrize("action", ["linear", "affine"])
def test_sections_move_a_code_about_as_far_as_a_traversal(action):
    model = model_of(ours=Ours(action=action))
    part = codebook_probes.section_action(model, CODES)
    G = np.asarray(section_generators(model.generators()))
    rows = np.pad(CODES, ((0, 0), (0, G.shape[-1] - 3)), constant_values=1.0)
    amounts = part["section_action/amounts"]
    speed = np.median([np.linalg.norm((row @ g)[:3]) for row in rows for g in G])
    np.testing.assert_allclose(amounts[[0, -1]] * speed, [-2, 2], rtol=1e-5)
    moved = moved_by([rows[0]] * 3, amounts[1] * G)[:, :3]
    frames = part["section_action/frames"][:, 1]
    np.testing.assert_allclose(frames, pixels(model, moved), atol=0.52)


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.01])
def test_sections_do_not_move_collapsed_codes_out_of_reach(model, size):
    part = codebook_probes.section_action(model, size * CODES)
    G = np.asarray(section_generators(model.generators()))
    end = moved_by([size * CODES[0]] * 3, part["section_action/amounts"][-1] * G)
    assert np.abs(end - size * CODES[0]).max() < 10.1
    np.testing.assert_allclose(
        part["section_action/frames"][:, -1], pixels(model, end), atol=0.52
    )


def test_sections_are_added_one_by_one(model):
    x1, x2 = images([0, 1]), images([2, 3])
    part = codebook_probes.sections(model, x1, x2)
    _, switch, attention = map(np.asarray, model.symmetry(x1, x2))
    M = np.einsum(
        "ps,psl,slij->pij",
        switch[:, :2],
        attention[:, :2],
        np.asarray(model.generators())[:2],
    )
    expected = pixels(model, moved_by(model.encode(x1).mu, M))
    np.testing.assert_allclose(part["sections/frames"][:, 2], expected, atol=0.52)


def test_stepping_applies_each_symmetry_once_or_all_in_a_chain(model):
    step = codebook_probes.factor_steps(model, DATA, controlled(DATA), np.array([2, 1]))
    assert step["factor_steps/1/values"].tolist() == [0, 1, 2, 3, 4]
    indices = DATA.grid.indices(np.stack([np.full(5, 2), np.arange(5)], axis=1))
    x = images(indices)
    np.testing.assert_array_equal(step["factor_steps/1/originals"], x)
    z = np.asarray(model.encode(x).mu)
    M = np.asarray(model.symmetry(x[:-1], x[1:]).generator)
    np.testing.assert_allclose(
        step["factor_steps/1/one_shot"][1:],
        pixels(model, moved_by(z[:-1], M)),
        atol=0.52,
    )
    chain = z[:1]
    for generator in M[:3]:
        chain = moved_by(chain, generator[None])
    np.testing.assert_allclose(
        step["factor_steps/1/chained"][3], pixels(model, chain)[0], atol=0.52
    )


def test_long_factors_are_stepped_over_their_whole_range(model):
    grid = dataclasses.replace(DATA.grid, names=("t",), sizes=(20,))
    dataset = dataclasses.replace(DATA, grid=grid)
    step = codebook_probes.factor_steps(
        model, dataset, controlled(dataset), np.array([0])
    )
    values = step["factor_steps/0/values"]
    assert values[0] == 0
    assert values[-1] == 19
    assert len(values) == 10


def test_sections_are_compared_element_by_element(model):
    A = np.asarray(model.generators(), float)
    S, L = A.shape[:2]
    z = np.asarray(Codes(model, DATA).mean(np.arange(6)), float)
    delta = np.array(
        [[z - z @ scipy.linalg.expm(A[s, k]) for k in range(L)] for s in range(S)]
    )
    for s in range(S):
        for t in range(S):
            norms, cosines = [], []
            for k in range(L):
                for m in range(L):
                    difference = A[s, k] @ A[t, m] - A[t, m] @ A[s, k]
                    norms.append(np.sqrt((difference**2).sum()))
                    for b in range(6):
                        u, v = delta[s, k, b], delta[t, m, b]
                        cos = u @ v / np.sqrt((u @ u) * (v @ v))
                        cosines.append(abs(cos))
            got = codebook_probes.commutator_norms(model.generators())[s, t]
            np.testing.assert_allclose(got, np.mean(norms), rtol=1e-4, atol=1e-6)
            got = codebook_probes.section_cosines(
                model.generators(), z.astype(np.float32)
            )
            np.testing.assert_allclose(got[s, t], np.mean(cosines), rtol=1e-3)


@pytest.mark.parametrize("action", ["linear", "affine"])
def test_sections_move_latents_by_what_their_elements_do_together(action):
    moving = model_of(ours=Ours(action=action))
    rng = np.random.default_rng(3)
    z = rng.normal(size=(70, 3)).astype(np.float32)
    attention = rng.dirichlet(np.ones(2), (70, 3)).astype(np.float32)
    generators = np.float64(moving.generators())
    E = 3 if action == "linear" else 4
    assert generators.shape == (3, 2, E, E)
    got = codebook_probes.section_moves(generators, attention, z)
    for s in range(3):
        squares = np.zeros(3)
        for n in range(70):
            A = sum(attention[n, s, i] * generators[s, i] for i in range(2))
            row = np.ones(E)
            row[:3] = z[n]
            squares += ((row @ scipy.linalg.expm(A))[:3] - z[n]) ** 2
        np.testing.assert_allclose(got[s], np.sqrt(squares / 70), rtol=1e-4)


def test_the_codebook_is_pictured_on_the_pairs_that_it_was_asked_for(monkeypatch):
    model, asked = model_of(ours=Ours(action="affine")), []

    def symmetry(model, x1, x2):
        """Of each pair, something that depends on its first image."""
        asked.append(x1)
        mu = np.asarray(model.encode(x1).mu)
        attention = np.stack([np.exp(mu), np.exp(-mu)], axis=-1)
        attention /= attention.sum(axis=-1, keepdims=True)
        return Symmetry(None, np.float32(mu > np.quantile(mu, 0.3)), attention)

    monkeypatch.setattr(codebook_probes, "symmetry", symmetry)
    arrays = codebook_probes.codebook_pictures(model, DATA, Codes(model, DATA))
    (x1,) = asked
    assert len(x1) == 10
    _, switch, attention = symmetry(model, x1, None)
    z = np.asarray(model.encode(x1).mu)
    moves = codebook_probes.section_moves(model.generators(), attention, z)
    np.testing.assert_allclose(arrays["section_moves/distance"], moves, rtol=1e-5)
    on = [np.mean([pair[s] for pair in switch]) for s in range(3)]
    np.testing.assert_allclose(arrays["section_moves/on"], on)
    np.testing.assert_allclose(arrays["codebook/section_use"], on)


@dataclasses.dataclass(frozen=True)
class Doubling:
    """A model that takes every symmetry for z -> 2 z."""

    model: Model

    def encode(self, x):
        return self.model.encode(x)

    def symmetry(self, x1, x2):
        del x2
        M = np.tile(np.log(2) * np.eye(3, dtype=np.float32), (len(x1), 1, 1))
        return Symmetry(M, np.ones((len(x1), 3)), np.ones((len(x1), 3, 2)) / 2)


def test_equivariance_compares_with_doing_nothing(model):
    part = codebook_probes.equivariance(
        Doubling(model), DATA, controlled(DATA), pairs=2000
    )
    assert part["equivariance/factor_names"].tolist() == ["x", "y"]
    z = np.asarray(model.encode(images(np.arange(20))).mu).reshape(4, 5, 3)
    # All pairs that differ in y alone, which the drawn ones are a sample of.
    first, second = np.nonzero(~np.eye(5, dtype=bool))
    misses = 2 * z[:, first] - z[:, second]
    apart = z[:, first] - z[:, second]
    np.testing.assert_allclose(
        part["equivariance/errors"][1], np.mean(misses**2), rtol=0.05
    )
    np.testing.assert_allclose(
        part["equivariance/distances"][1], np.mean(apart**2), rtol=0.05
    )


def test_damaged_scores_are_one_sentence(tmp_path, capsys):
    workdir = tmp_path / "old"
    shutil.copytree(Path(tiny.__file__).with_name("old_run"), workdir)
    (workdir / "results.json").write_text('{"step": 20, "seeds": [1], "scores": []}')
    assert main.main(["main", "--mode=analyze", f"--workdir={workdir}"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "results.json is damaged ('scores' has an unexpected form" in said[0]


@pytest.mark.parametrize("folder", ["seed_1", "run_0_seed_1"])
def test_training_time_is_what_the_calls_took_together(tmp_path, folder):
    def events(name, *times):
        path = tmp_path / "tensorboard" / folder / f"events.out.tfevents.{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = b""
        for time in times:
            event = event_pb2.Event(wall_time=time).SerializeToString()
            checksum = bytes(4)
            content += struct.pack("<Q", len(event)) + checksum + event + checksum
        path.write_bytes(content)
        return path

    assert analyze._training_times(tmp_path, {}) == {}
    day = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
    events("1", day, day + 20, day + 60)
    cut = events("2", day + 1000, day + 1030, day + 2000)
    cut.write_bytes(cut.read_bytes()[:-10])
    events("3")
    results = {"durations": {"evaluation": 5.0}}
    assert analyze._training_times(tmp_path, results) == {
        "trained_until": "2023-11-14 22:30 UTC",
        "durations": {"training": 90.0, "evaluation": 5.0},
    }


def test_defaults_are_those_of_the_data_set_s_file():
    assert analyze._defaults("shapes3d")["dataset"] == "shapes3d"
    assert analyze._defaults("no_such_set") is None
