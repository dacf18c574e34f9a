"""Your own images, 64 x 64: --config.data.path=FILE_OR_FOLDER.

An .npz or .h5 file with "images" and, if you have them, "factors"; a folder of
pictures; or a copy of either, made with
python -m cfasl_jax.data prepare custom --from=FILE_OR_FOLDER --dir=DIR.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    config = default.get_config()
    config.dataset = "custom"
    config.hidden = 256
    config.latent_dim = 10
    config.num_steps = 300_000
    return default.with_preset(config, preset)
