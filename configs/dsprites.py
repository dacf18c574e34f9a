"""dSprites: three shapes in five factors, 737,280 images of 64 x 64 x 1.

The paper's schedule, 300,000 steps of 64 images; `:quick` ends with a report after a
few minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    config = default.get_config()
    config.dataset = "dsprites"
    config.hidden = 128
    config.latent_dim = 10
    return default.with_preset(config, preset)
