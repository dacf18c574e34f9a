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

    python -m cfasl_jax.study --study=configs/studies/shapes3d_10k.py:longer ...

asks whether three times as many steps change the answer. It was added, before any of
its runs had more than 10,000 steps, when the five pairs of the first study were
finished, whose primary scores show no difference. All else is the same: the arms, the
seeds, the primary scores at the end of training. The runs of the first study can be
continued: copy the folders below its `runs` to this study's working directory.
"""

from configs.studies import dsprites_10k


def get_study(preset: str = "") -> dict:
    if preset not in ("", "longer"):
        raise ValueError(f"the only preset is longer, not {preset}")
    study = dsprites_10k.get_study()
    (_, ours) = study["arms"].values()
    steps = 30_000 if preset else 10_000
    fields = {"objective": "beta_vae", "beta": 4.0, "num_steps": steps}
    return study | {
        "question": f"Within {steps:,} steps on rendered 3D Shapes, does CFASL with "
        "our changes disentangle better than beta-VAE alone?",
        "set": study["set"] | fields,
        "arms": {
            "beta-VAE": {"config": "configs/shapes3d.py", "set": {"cfasl": False}},
            "CFASL (ours)": ours | {"config": "configs/shapes3d.py"},
        },
    }
