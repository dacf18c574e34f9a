"""The paper's table of 3D Shapes: four objectives, and CFASL on beta-VAE.

    python -m cfasl_jax.study --study=configs/studies/shapes3d.py --workdir=DIR

32 settings with two tuning seeds, five of them with ten reporting seeds, 500,000 steps
each: --dry-run says how many hours that is. `:short` trains a tenth of the steps
at five times the learning rate, `:official` computes what the published code does,
`:short+official` both.
"""

from configs import paper


def get_study(preset: str = "") -> dict:
    return paper.study("shapes3d", preset)
