"""The paper's table of 3D Cars: four objectives, and CFASL on beta-TCVAE.

    python -m cfasl_jax.study --study=configs/studies/cars3d.py --workdir=DIR

32 settings with two tuning seeds, five of them with ten reporting seeds, 300,000 steps
each: --dry-run says how many hours that is. `:short` trains a tenth of the steps
at five times the learning rate, `:official` computes what the published code does,
`:short+official` both.

Make a copy of the data first: python -m cfasl_jax.data prepare cars3d.
"""

from configs import paper


def get_study(preset: str = "") -> dict:
    return paper.study("cars3d", preset)
