"""What does each part of CFASL do to beta-TCVAE on rendered dSprites?

    python -m cfasl_jax.study --study=configs/studies/dsprites_parts.py --workdir=DIR

One weight alone has the paper's value and the others are 0, for 3,000 steps with ten
times the paper's learning rate, while the heads keep 2e-5. The seed 101 was run by hand
with these settings before this file was written; its scores are known, and the seed 102
says which of its differences recur. Two seeds can contradict a difference but not show
one. All scores are by the protocol `fast`.
"""

_WEIGHTS = ("alpha", "gamma", "lamb", "epsilon")


def get_study(preset: str = "") -> dict:
    if preset:
        raise ValueError(f"this study has no presets, such as {preset}")
    parts = {
        f"{kept} alone": {f"weights.{name}": 0.0 for name in _WEIGHTS if name != kept}
        for kept in _WEIGHTS
    }
    return {
        "question": "Within 3,000 steps on rendered dSprites, what does each part of "
        "CFASL do to the scores of beta-TCVAE?",
        "set": {
            "data.source": "rendered",
            "objective": "beta_tcvae",
            "beta": 4.0,
            "num_steps": 3_000,
            "learning_rate": 1e-3,
            "codebook.learning_rate": 2e-5,
            "log_every": 100,
            "checkpoint.every": 500,
        },
        "arms": {
            name: {"config": "configs/dsprites.py", "set": fields}
            for name, fields in ({"beta-TCVAE": {"cfasl": False}} | parts).items()
        },
        "reporting": {"seeds": (101, 102)},
        "protocols": ("fast",),
        "primary": ("mig", "dci", "fvm"),
        "reports": False,
    }
