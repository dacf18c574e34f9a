"""Does CFASL help beta-VAE on rendered 3D Shapes within 10,000 steps?

    python -m cfasl_jax.study --study=configs/studies/shapes3d_10k.py --workdir=DIR

A fiftieth of the paper's steps at ten times its learning rate, which is what two CPU
cores can do: about an hour for each pair of runs.

This protocol was written down before any of the runs. The base is the one that the
paper's CFASL stands on for 3D Shapes. Nothing is tuned: beta is 4 for both arms, from
the middle of the paper's grid, and CFASL has the settings that were chosen on dSprites
(`dsprites_10k.py`), so that this study also asks whether they carry over. The primary
scores are MIG, DCI and FVM by the protocol dlib, at the end of training. Runs are done
seed by seed, so that the finished runs always form pairs. With five pairs, a
paired t-test at 5% finds a mean difference of 1.7 standard deviations of the
differences in 80% of studies.
"""

from configs.studies import dsprites_10k


def get_study(preset: str = "") -> dict:
    if preset:
        raise ValueError(f"this study has no presets, such as {preset}")
    study = dsprites_10k.get_study()
    (_, ours) = study["arms"].values()
    return study | {
        "question": "Within 10,000 steps on rendered 3D Shapes, does CFASL with our "
        "changes disentangle better than beta-VAE alone?",
        "set": study["set"] | {"objective": "beta_vae", "beta": 4.0},
        "arms": {
            "beta-VAE": {"config": "configs/shapes3d.py", "set": {"cfasl": False}},
            "CFASL (ours)": ours | {"config": "configs/shapes3d.py"},
        },
    }
