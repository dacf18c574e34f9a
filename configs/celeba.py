"""CelebA: 202,599 faces of 64 x 64 x 3, without ground-truth factors.

Make a copy first: python -m cfasl_jax.data prepare celeba. It downloads the authors'
archive, 1.4 GB; where their server refuses, get img_align_celeba.zip with a browser
and add --from=img_align_celeba.zip. The paper's schedule, 1,000,000 steps of 64 images;
there are no scores to compute.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    config = default.get_config()
    config.dataset = "celeba"
    config.hidden = 256
    config.latent_dim = 10
    config.num_steps = 1_000_000
    return default.with_preset(config, preset)
