"""A run's configuration as frozen dataclasses; `config` builds and validates it."""

import dataclasses

from cfasl_jax.fidelity import Fidelity


@dataclasses.dataclass(frozen=True)
class Data:
    """Where images come from; fields as in configs/default.py."""

    source: str
    dir: str
    path: str
    convention: str
    likelihood: str
    residency: str


@dataclasses.dataclass(frozen=True)
class Codebook:
    """The symmetry codebook; fields as in configs/default.py."""

    elements: int
    scale: float
    temperature: float
    learning_rate: float


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of CFASL's losses; fields as in configs/default.py."""

    alpha: float
    gamma: float
    lamb: float
    epsilon: float


@dataclasses.dataclass(frozen=True)
class Control:
    """Control-VAE's controller; fields as in configs/default.py."""

    kp: float
    ki: float
    beta_min: float
    beta_max: float


@dataclasses.dataclass(frozen=True)
class Lie:
    """Losses of the commutative Lie group VAE; fields as in configs/default.py."""

    hessian: float
    commutator: float
    feature_probability: float


@dataclasses.dataclass(frozen=True)
class Factor:
    """FactorVAE's discriminator; fields as in configs/default.py."""

    gamma: float
    learning_rate: float


@dataclasses.dataclass(frozen=True)
class Dip:
    """DIP-VAE's penalties; fields as in configs/default.py."""

    lambda_od: float
    lambda_d: float | None


@dataclasses.dataclass(frozen=True)
class Annealed:
    """Annealed VAE's schedule; fields as in configs/default.py."""

    gamma: float
    steps: int


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """When checkpoints are written; fields as in configs/default.py."""

    every: int
    keep: int


@dataclasses.dataclass(frozen=True)
class Eval:
    """How a run is scored; fields as in configs/default.py."""

    protocol: str
    metrics: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Config:
    """A validated configuration; fields as in configs/default.py."""

    dataset: str
    objective: str
    cfasl: bool
    data: Data
    fidelity: Fidelity
    latent_dim: int
    hidden: int
    codebook: Codebook
    beta: float
    capacity: float
    feature_weight: float
    control: Control
    lie: Lie
    factor: Factor
    dip: Dip
    annealed: Annealed
    weights: Weights
    threshold: float
    seeds: tuple[int, ...]
    num_steps: int
    batch_size: int
    learning_rate: float
    clip_norm: float
    log_every: int
    checkpoint: Checkpoint
    eval: Eval

    @property
    def num_pairs(self) -> int:
        """P, pairs in the global batch."""
        return self.batch_size // 2
