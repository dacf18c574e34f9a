"""A run's configuration as frozen dataclasses; `config` builds and validates it.

Every field is declared once, here, with its bounds; configs/default.py explains it and
gives the value that new runs start from. A default given here is only used to load a
config.json that was stored before the field existed, so it must reproduce the behaviour
of that time. A field without a default has existed from the start.

The groups of hyperparameters are pytrees, and `Hyper` holds all of them. Its leaves are
traced, so that one compiled program serves every setting; with a leading axis [R], one
program trains R settings together. Fields marked as static are part of the program.
"""

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from flax.traverse_util import flatten_dict


def bounded(
    *,
    default: Any = dataclasses.MISSING,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    static: bool = False,
) -> Any:
    """Declare a field with its bounds, which `config` checks.

    Args:
        default: the value for runs that were stored before the field existed.
        least: the smallest value allowed.
        above: a lower bound that is not allowed itself.
        most: the largest value allowed.
        static: whether the value is part of the compiled program, not an argument.
    """
    bounds = {"least": least, "above": above, "most": most}
    metadata = {key: value for key, value in bounds.items() if value is not None}
    return dataclasses.field(default=default, metadata=metadata | {"static": static})


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """Which computations follow the published code where it departs from the paper.

    All False is the preset "corrected", all True the preset "official".

    Attributes:
        sigma2_from_mu: sigma2 in the heads' input is exp(mu2 / 2), by mistake.
        double_softmax: the factor prediction's cross-entropy takes probabilities as if
            they were logits.
        targets_from_sample: whether a factor changes is decided from z instead of mu,
            so that noise alone labels a collapsed dimension as changed in about nine
            pairs out of ten.
        commutator_memory_order: the commutator uses only the first L generators, pairs
            each with a block of the codebook that is reshaped in memory order, and
            gives earlier pairs more weight.
        perpendicular_below_sections: perpendicular draws element indices below S, so
            that later elements are never drawn.
        soft_noisy_switch: the switch is a Gumbel-softmax at temperature 1e-4, with
            noise in evaluation too.
        published_init: biases start at U(0, 1) with CFASL and at PyTorch's default
            without it. The codebook starts at N(0, 1), and the generators of CLG-VAE
            start about 135 times as large (in standard deviation).
        tc_weights_per_dimension: beta-TCVAE's stratified weights are in the wrong
            places of their matrix, and enter log q(z) once for every dimension.
        frozen_integral: Control-VAE's integral never moves, so that beta stays between
            1 and 1.01, and a gradient flows through its proportional part.
        lie_commutator_transposed: CLG-VAE compares a product of generators with its own
            transpose rather than with the product in the other order.
        lie_decoder_not_equivariant: with CFASL on CLG-VAE, the decoder's equivariance
            loss is that of reconstructing the images from z once more.
    """

    sigma2_from_mu: bool = False
    double_softmax: bool = False
    targets_from_sample: bool = False
    commutator_memory_order: bool = False
    perpendicular_below_sections: bool = False
    soft_noisy_switch: bool = False
    published_init: bool = False
    tc_weights_per_dimension: bool = False
    frozen_integral: bool = False
    lie_commutator_transposed: bool = False
    lie_decoder_not_equivariant: bool = False


@dataclasses.dataclass(frozen=True)
class Ours:
    """This project's changes to CFASL beyond the paper; all are off by default.

    Attributes:
        detached_heads: stop_gradient on the heads' input. The heads see mu and sigma
            rather than the noisy z, so their gradient could keep dimensions active that
            z barely uses.
        detached_biases: parallel, perpendicular and sparsity train only the codebook:
            their displacements are computed from stop_gradient(z).
        relative_sparsity: sparsity is the mean of 1 - max_d delta_d^2 / ||delta||^2,
            which does not depend on how far an element moves z.
        even_heads: the heads also read |mu1 - mu2|. The factor prediction asks whether
            |mu1 - mu2| exceeds the threshold, which no linear function of mu1, mu2 and
            their deviations can tell.
        equivariance_of_mu: the encoder's equivariance compares means, mu1 g_c with mu2,
            instead of samples, so that it does not also ask for small deviations.
        near_partners: the partner of a pair's first sample is that second sample of
            the batch from which fewest latents differ (`objectives.cfasl.nearest`),
            instead of one at random, so that a symmetry is that of few factors.
        action: how group elements act. linear: z expm(A), as in the paper, which keeps
            0 where it is. affine: [z, 1] expm(A), so that sections can also translate
            z. axes: affine, and the codebook is not learned: element l of section s
            translates dimension s by one of L amounts from -4 to 4. Since its inductive
            bias is then perfect from the start, it is a control: what is lost with a
            learned codebook, and what the equivariances do alone?
    """

    detached_heads: bool = False
    detached_biases: bool = False
    relative_sparsity: bool = False
    even_heads: bool = False
    equivariance_of_mu: bool = False
    near_partners: bool = False
    action: str = "linear"


FIDELITIES: Mapping[str, Fidelity] = {
    "corrected": Fidelity(),
    "official": Fidelity(
        **{field.name: True for field in dataclasses.fields(Fidelity)}
    ),
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class CodebookSettings:
    """Size, initialisation and training of the symmetry codebook."""

    elements: int = bounded(least=1, most=10_000, static=True)
    scale: float = bounded(above=0, static=True)
    temperature: float = bounded(above=0)
    learning_rate: float = bounded(above=0)
    expm: str = bounded(default="auto", static=True)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of CFASL's losses; lamb and epsilon rise from 0 over `ramp` steps."""

    alpha: float = bounded(least=0)
    gamma: float = bounded(least=0)
    lamb: float = bounded(least=0)
    epsilon: float = bounded(least=0)
    ramp: int = bounded(least=0, default=0)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Control:
    """Control-VAE's controller."""

    kp: float = bounded(least=0, default=0.01)
    ki: float = bounded(least=0, default=0.001)
    beta_min: float = bounded(least=0, default=1.0)
    beta_max: float = bounded(least=0, default=100.0)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Lie:
    """Losses of the commutative Lie group VAE."""

    hessian: float = bounded(least=0, default=40.0)
    commutator: float = bounded(least=0, default=20.0)
    feature_probability: float = bounded(least=0, most=1, default=0.2)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Factor:
    """FactorVAE's total correlation and its discriminator."""

    gamma: float = bounded(least=0, default=35.0)
    learning_rate: float = bounded(above=0, default=1e-4)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Dip:
    """DIP-VAE's penalties; if lambda_d is None, it is a multiple of lambda_od."""

    lambda_od: float = bounded(least=0, default=10.0)
    lambda_d: float | None = bounded(least=0, default=None)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Annealed:
    """Annealed VAE's schedule."""

    gamma: float = bounded(least=0, default=1000.0)
    steps: int = bounded(least=1, default=100_000)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyper:
    """The hyperparameters that are traced: leaves are float32 [], or [R] of R runs.

    As part of a `Config` they are plain numbers.
    """

    beta: float = bounded(least=0)
    capacity: float = bounded(least=0, default=10.0)
    feature_weight: float = bounded(least=0, default=0.1)
    control: Control = Control()
    lie: Lie = Lie()
    factor: Factor = Factor()
    dip: Dip = Dip()
    annealed: Annealed = Annealed()
    codebook: CodebookSettings
    weights: Weights
    threshold: float = bounded(least=0)
    learning_rate: float = bounded(above=0)
    num_steps: int = bounded(least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Where images come from."""

    source: str
    dir: str
    path: str = ""
    convention: str = "paper"
    likelihood: str = "auto"
    residency: str = "auto"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """When checkpoints are written."""

    every: int = bounded(least=1)
    keep: int = bounded(least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Eval:
    """How a run is scored."""

    protocol: str
    metrics: tuple[str, ...] = ()
    every: int = bounded(least=0, default=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Hyper):
    """A validated configuration: all hyperparameters, and the other fields of a run."""

    dataset: str
    objective: str
    cfasl: bool
    data: Data
    fidelity: Fidelity
    ours: Ours = Ours()
    latent_dim: int = bounded(least=1, most=1_000)
    hidden: int = bounded(least=1, most=100_000)
    seeds: tuple[int, ...] = bounded(least=0)
    # Traced fields by their dotted names, with one value for each of the seeds.
    per_run: tuple[tuple[str, tuple[float, ...]], ...] = ()
    batch_size: int = bounded(least=2, most=1_000_000)
    clip_norm: float = bounded(above=0)
    matmul_precision: str = "default"
    log_every: int = bounded(least=1)
    checkpoint: Checkpoint
    eval: Eval

    @property
    def num_pairs(self) -> int:
        """P, pairs in the global batch."""
        return self.batch_size // 2

    @property
    def hyper(self) -> Hyper:
        """The hyperparameters that are traced, as plain numbers."""
        names = [field.name for field in dataclasses.fields(Hyper)]
        return Hyper(**{name: getattr(self, name) for name in names})

    def of_run(self, run: int) -> "Config":
        """The configuration of one run alone, with its own seed and values."""
        config = dataclasses.replace(self, seeds=(self.seeds[run],), per_run=())
        for name, values in self.per_run:
            whole = isinstance(operator.attrgetter(name)(self), int)
            value = int(values[run]) if whole else values[run]
            config = replaced(config, name, value)
        return config


def run_names(seeds: Sequence[int]) -> list[str]:
    """Names such as "seed 1", or "run 0, seed 1" if several runs have the same seed."""
    names = [f"seed {seed}" for seed in seeds]
    if len(set(names)) < len(names):
        names = [f"run {run}, {name}" for run, name in enumerate(names)]
    return names


def num_elements(fidelity: str) -> int:
    """L, if it is not given, with a preset of fidelity: that of the published code."""
    return 16 if fidelity == "official" else 10


def heads_learning_rate(learning_rate: float) -> float:
    """That of the codebook's heads, if it is not given: a fifth, as in the paper."""
    return learning_rate / 5


def replaced(group: Any, name: str, value: Any) -> Any:
    """A copy of a dataclass with one field replaced.

    Args:
        group: a dataclass, whose fields may be dataclasses.
        name: dotted name of the field, such as "weights.alpha".
        value: its new value.
    """
    first, _, rest = name.partition(".")
    if rest:
        value = replaced(getattr(group, first), rest, value)
    return dataclasses.replace(group, **{first: value})


def flatten(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields as a flat dict with dotted names."""
    return flatten_dict(fields, sep=".")


def belongs(name: str, fields: Sequence[str]) -> bool:
    """Whether a dotted name is one of these fields or in one of these groups."""
    return any(name == field or name.startswith(f"{field}.") for field in fields)
