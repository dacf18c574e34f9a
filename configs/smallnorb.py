"""smallNORB: 50 toys in grey; 24,300 images of 64 x 64 x 1 in the paper's convention.

Make a copy first: python -m cfasl_jax.data prepare smallnorb. The paper's schedule,
300,000 steps of 64 images. data.convention=full takes all 97,200 images.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    config = default.get_config()
    config.dataset = "smallnorb"
    config.data.convention = "paper"
    config.hidden = 256
    config.latent_dim = 10
    config.num_steps = 300_000
    return default.with_preset(config, preset)
