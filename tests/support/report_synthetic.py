"""Small made-up analyses for the tests of the report."""

import dataclasses

import numpy as np

from cfasl_jax.report.analysis import Run, numbered
from cfasl_jax.report.curves import LossCurves

D, S, L, T, N_PAIRS = 3, 3, 2, 4, 2
KL = np.array([0.5, 0.001, 2.0])
ACTIVE = np.array([True, False, True])
QUANTILES = np.linspace(-1, 1, 5) * [[1.0], [0.02], [2.0]] + [[0.0], [0.9], [-0.5]]
SIGMA = np.array([0.5, 0.8, 0.1])
FACTORS = ("shape", "floor_hue")
LOSSES = LossCurves(
    np.arange(1, 6) * 500,
    {
        "kl": np.random.default_rng(2).random((2, 5)),
        "loss": np.ones((2, 5)),
    },
)
CONFIG = {
    "dataset": "shapes3d",
    "objective": "beta_vae",
    "cfasl": True,
    "latent_dim": 10,
    "beta": 4.0,
    "factor": {"gamma": 35.0},
    "fidelity": "corrected",
    "weights": {"alpha": 1.0},
}
RESULTS = {
    "provenance": {
        "data_source": "rendered",
        "device": "1 x cpu",
        "revision": "abc",
        "packages": {"numpy": "2"},
    },
    "step": 12345,
    "durations": {"train": 3700.0},
    "losses": {"kl": [1.0, 3.0]},
    "seeds": [7, 8],
    "model": [{"kl": 1.25, "kl_per_dimension": [1.0, 0.25], "active_dimensions": 2}]
    * 2,
    "protocol": "fast",
    "scores": {
        "mig": {
            "mean": 0.25,
            "std": 0.05,
            "interval": [0.2, 0.3],
            "chance": 0.01,
            "runs": 2,
            "values": [0.2, 0.3],
            "by_factor": [0.375, 0.125, None],
        },
        "sap": {"mean": 0.125},
    },
    "factors": ["shape", "x_position", "hue"],
}


def images(rng, *shape, channels=3):
    """Random images: each has its own colour, and a corner that tells its sides."""
    flat = rng.integers(0, 256, (*shape, 1, 1, channels), dtype=np.uint8)
    drawn = np.broadcast_to(flat, (*shape, 64, 64, channels)).copy()
    drawn[..., :20, :10, :] = 255 - flat
    return drawn


def decoder(rng, latent_dim=D, channels=3):
    """Decoder layers of the real shapes' kind, small, with outputs well spread."""

    def normal(*shape, scale=1.0):
        fan_in = np.prod(shape[:-1])
        return (scale * rng.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)

    def layer(kind, kernel, relu=True):
        bias = normal(kernel.shape[-1])
        return {"kind": kind, "kernel": kernel, "bias": bias, "relu": relu}

    conv = "transposed_conv"
    return [
        layer("dense", normal(latent_dim, 16, scale=2)),
        layer("dense", normal(16, 4 * 4 * 8, scale=2)),
        layer(conv, normal(4, 4, 8, 8, scale=3)),
        layer(conv, normal(4, 4, 8, 6, scale=3)),
        layer(conv, normal(4, 4, 6, 6, scale=3)),
        layer(conv, normal(4, 4, 6, channels, scale=6), relu=False),
    ]


def explorer(rng, channels=3):
    """The arrays of an explorer of four examples with a codebook."""
    n = 4
    layers = numbered("explorer/layers", decoder(rng, channels=channels))
    generators = (0.3 * rng.normal(size=(S, L, D, D))).astype(np.float32)
    arrays = {
        "images": images(rng, n, channels=channels),
        "latents": rng.normal(size=(n, D)).astype(np.float32),
        "section_generators": generators.mean(1),
        "generators": generators,
        "switch": (rng.random((n, n, S)) < 0.5).astype(np.float32),
        "attention": rng.dirichlet(np.ones(L), (n, n, S)).astype(np.float32),
    }
    return {f"explorer/{name}": array for name, array in arrays.items()} | layers


def baseline(channels=3, seed=0, run=0, label="", lacking=None, **arrays):
    """A run with the arrays that every model has, and further ones."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return images(rng, *shape, channels=channels)

    plain = {
        "reconstructions/originals": draw(5),
        "reconstructions/decoded": draw(5),
        "traversals/frames": draw(D, T),
        "traversals/values": np.linspace(-2, 2, T),
        "traversals/kl": KL,
        "traversals/active": ACTIVE,
        "posteriors/quantiles": QUANTILES,
        "posteriors/sigma": SIGMA,
        "posteriors/kl": KL,
    }
    return Run(run, label, plain | arrays, lacking or {})


def complete(channels=3):
    """A run with every array."""
    rng = np.random.default_rng(1)

    def draw(*shape):
        return images(rng, *shape, channels=channels)

    pairs = {"x1": draw(N_PAIRS), "x2": draw(N_PAIRS)}
    switch = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    square = rng.random((S, S))
    parts = {
        "composition": pairs | {"path": draw(N_PAIRS, T), "switch": switch},
        "sections": pairs | {"frames": draw(N_PAIRS, S + 1), "switch": switch},
        "walk": pairs
        | {"frames": draw(N_PAIRS, D + 1), "dimensions": np.array([2, 0, 1])},
        "codes": {
            "latents": rng.normal(size=(40, D)),
            "factors": np.stack([np.arange(40) % 3, np.arange(40)], 1),
            "factor_names": np.array(FACTORS),
            "dimensions": np.array([2, 0, 1]),
        },
        "information": {
            "normalised": rng.random((D, 2)),
            "importance": rng.random((D, 2)),
            "factor_names": np.array(FACTORS),
        },
        "covariance": {"matrix": np.diag([1.0, 0.2, 3.0])},
        "codebook": {
            "commutator": square,
            "cosine": square.T**2,
            "section_use": rng.random(S),
            "element_use": rng.random((S, L)),
        },
        "section_moves": {
            "distance": rng.random((S, D)),
            "on": np.array([1.0, 0.25, 0.0]),
        },
        "equivariance": {
            "factor_names": np.array(FACTORS),
            "errors": np.array([0.1, 0.2]),
            "distances": np.array([0.5, 0.1]),
        },
        "section_action": {
            "frames": draw(S, T),
            "amounts": np.linspace(-1, 1, T),
        },
    }
    steps = [
        {
            "factor": name,
            "values": 3 * np.arange(T),
            **{key: draw(T) for key in ("originals", "one_shot", "chained")},
        }
        for name in FACTORS
    ]
    arrays = {
        f"{part}/{name}": array
        for part, named in parts.items()
        for name, array in named.items()
    }
    arrays |= numbered("factor_steps", steps) | explorer(rng, channels)
    return baseline(channels, **arrays)


def only(run, *parts):
    """A run with some of another's parts."""
    kept = {
        name: array
        for name, array in run.arrays.items()
        if name.split("/")[0] in ("reconstructions", "traversals", *parts)
    }
    return dataclasses.replace(run, arrays=kept)
