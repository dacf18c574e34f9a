"""Small made-up analyses for the tests of the report."""

import numpy as np

from cfasl_jax.report.arrays import (
    Analysis,
    Codebook,
    Codes,
    Composition,
    DenseLayer,
    Equivariance,
    Explorer,
    FactorMaps,
    FactorSteps,
    LossCurves,
    Reconstructions,
    SectionAction,
    SectionSteps,
    TransposedConvLayer,
    Traversals,
    Walk,
)

D, S, L, T, N_PAIRS = 3, 3, 2, 4, 2
KL = np.array([0.5, 0.001, 2.0])
ACTIVE = np.array([True, False, True])
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
        },
        "sap": {"mean": 0.125},
    },
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

    return (
        DenseLayer(normal(latent_dim, 16, scale=2), normal(16)),
        DenseLayer(normal(16, 4 * 4 * 8, scale=2), normal(128)),
        TransposedConvLayer(normal(4, 4, 8, 8, scale=3), normal(8)),
        TransposedConvLayer(normal(4, 4, 8, 6, scale=3), normal(6)),
        TransposedConvLayer(normal(4, 4, 6, 6, scale=3), normal(6)),
        TransposedConvLayer(
            normal(4, 4, 6, channels, scale=6), normal(channels), False
        ),
    )


def explorer(rng, channels=3):
    """An explorer of four examples with a codebook."""
    n = 4
    generators = (0.3 * rng.normal(size=(S, L, D, D))).astype(np.float32)
    return Explorer(
        decoder=decoder(rng, channels=channels),
        images=images(rng, n, channels=channels),
        latents=rng.normal(size=(n, D)).astype(np.float32),
        section_generators=generators.mean(1),
        generators=generators,
        switch=(rng.random((n, n, S)) < 0.5).astype(np.float32),
        attention=rng.dirichlet(np.ones(L), (n, n, S)).astype(np.float32),
    )


def baseline(channels=3, seed=0, **parts):
    """An analysis with the parts that every model has."""
    rng = np.random.default_rng(seed)
    return Analysis(
        reconstructions=Reconstructions(
            images(rng, 5, channels=channels), images(rng, 5, channels=channels)
        ),
        traversals=Traversals(
            images(rng, D, T, channels=channels), np.linspace(-2, 2, T), KL, ACTIVE
        ),
        **parts,
    )


def complete(channels=3):
    """An analysis with every part."""
    rng = np.random.default_rng(1)

    def draw(*shape):
        return images(rng, *shape, channels=channels)

    x1, x2 = draw(N_PAIRS), draw(N_PAIRS)
    switch = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    square = rng.random((S, S))
    return baseline(
        channels,
        composition=Composition(
            x1, x2, draw(N_PAIRS), draw(N_PAIRS), switch, draw(N_PAIRS, T)
        ),
        section_steps=SectionSteps(x1, x2, draw(N_PAIRS, S + 1), None, switch),
        walk=Walk(x1, x2, draw(N_PAIRS, D + 1), np.array([2, 0, 1])),
        factor_steps=tuple(
            FactorSteps(name, 3 * np.arange(T), draw(T), draw(T), draw(T))
            for name in FACTORS
        ),
        codes=Codes(
            rng.normal(size=(40, D)),
            np.stack([np.arange(40) % 3, np.arange(40)], 1),
            FACTORS,
            (2, 0, 1),
        ),
        factor_maps=FactorMaps(FACTORS, rng.random((D, 2)), rng.random((D, 2))),
        covariance=np.diag([1.0, 0.2, 3.0]),
        codebook=Codebook(square, square, rng.random(S), rng.random((S, L))),
        equivariance=Equivariance(FACTORS, np.array([0.1, 0.2]), np.array([0.5, 0.1])),
        section_action=SectionAction(draw(S, T), np.linspace(-1, 1, T)),
        explorer=explorer(rng, channels),
    )
