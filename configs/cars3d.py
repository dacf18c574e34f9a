"""3D Cars: 183 cars from 4 elevations and 24 azimuths, 17,568 images of 64 x 64 x 3.

Make a copy first: python -m cfasl_jax.data prepare cars3d. The paper's schedule,
300,000 steps of 64 images.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    config = default.get_config()
    config.dataset = "cars3d"
    config.hidden = 256
    config.latent_dim = 10
    config.num_steps = 300_000
    return default.with_preset(config, preset)
