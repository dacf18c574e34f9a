"""Every field of a configuration; the paper's schedule is the default.

A data set's file and the command line override what stands here.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def get_config() -> ConfigDict:
    config = ConfigDict()

    # What is trained.
    config.dataset = "dsprites"  # dsprites, shapes3d
    config.objective = "beta_vae"  # beta_vae
    config.cfasl = True  # False: the base objective alone, a baseline

    config.data = ConfigDict()
    # auto: a prepared real copy in data.dir, else the rendered twin.
    # tfds: the real set through TensorFlow Datasets. rendered: drawn on the device.
    config.data.source = "auto"
    config.data.dir = ""  # where real data lie; empty: ~/tensorflow_datasets

    # Fidelity to the paper's intent (corrected) or to the code that produced its
    # numbers (official). A switch left at None follows the preset;
    # --config.fidelity=official is short for --config.fidelity.preset=official.
    config.fidelity = ConfigDict()
    config.fidelity.preset = "corrected"
    for switch in (
        "sigma2_from_mu",  # sigma2 in the heads' input is exp(mu2 / 2)
        "double_softmax",  # the factor prediction's loss applies softmax twice
        "targets_from_sample",  # a factor's change is read off z, not off mu
        "commutator_memory_order",  # the commutator re-reads generators out of order
        "perpendicular_below_sections",  # perpendicular draws its elements below S
        "soft_noisy_switch",  # the switch is soft, at 1e-4, and noisy in evaluation
        "published_init",  # biases U(0, 1), codebook N(0, 1)
    ):
        config.fidelity[switch] = placeholder(bool)

    # Networks.
    config.latent_dim = 10  # D, and the number of sections S
    config.hidden = 256  # h, width of the dense layers
    config.codebook = ConfigDict()
    config.codebook.elements = 10  # L, generators in a section
    config.codebook.scale = 0.1  # standard deviation of the first generators
    config.codebook.temperature = 1.0  # of the switch's Gumbel-softmax
    config.codebook.learning_rate = 2e-5  # of the two linear heads

    # Weights of the loss terms.
    config.beta = 1.0  # of the KL divergence
    config.weights = ConfigDict()
    config.weights.alpha = 1.0  # of the codebook's four losses
    config.weights.gamma = 1.0  # of the factor prediction
    config.weights.lamb = 1.0  # of the encoder's equivariance
    config.weights.epsilon = 0.1  # of the decoder's equivariance
    config.threshold = 0.2  # a factor changed where |mu1 - mu2| exceeds it

    # Training.
    config.seeds = (1,)  # all are trained together, as one program
    config.num_steps = 300_000
    config.batch_size = 64  # B, over all devices; half of it are pairs
    config.learning_rate = 1e-4  # of Adam, for all but the codebook's heads
    config.clip_norm = 1.0  # of the global gradient
    config.log_every = 500  # steps in one compiled call, and in one logged line

    config.checkpoint = ConfigDict()
    config.checkpoint.every = 10_000  # steps; a multiple of log_every
    config.checkpoint.keep = 2  # how many of the last ones stay

    # After training.
    config.eval = ConfigDict()
    config.eval.protocol = "official"  # official, dlib, fast
    config.eval.metrics = ()  # names such as ("mig", "fvm"); empty: all

    return config


def with_preset(config: ConfigDict, preset: str) -> ConfigDict:
    """Apply what follows the colon of --config=FILE:PRESET; "" leaves the paper's."""
    if preset == "quick":
        config.num_steps = 1_500
        config.learning_rate = 1e-3
        config.log_every = 100
        config.checkpoint.every = 500
        config.eval.protocol = "fast"
    elif preset:
        raise ValueError(f"unknown preset {preset!r}: quick, or none")
    return config
