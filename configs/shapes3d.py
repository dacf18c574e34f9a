"""3D Shapes: an object in a room in six factors, 480,000 images of 64 x 64 x 3.

The paper's schedule, 500,000 steps of 64 images; `:quick` ends with a report after a
few minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    config = default.get_config()
    config.dataset = "shapes3d"
    config.hidden = 256
    config.latent_dim = 6
    config.codebook.elements = 16
    config.num_steps = 500_000
    return default.with_preset(config, preset)
