"""Named evaluation protocols: every count and choice that a score depends on.

Scores of the same codes differ between protocols, so each result carries the name of
its protocol. Vary a protocol with `dataclasses.replace`; results then say "(modified)".
"""

import dataclasses
from typing import Literal

from cfasl_jax.errors import require_choice

# Counts that must be larger than 1, or may be smaller: intervals come from sixths of
# the points of some metrics.
_LEAST = {"bootstrap": 2, "refits": 0, "mig_bins": 2, "sap_test": 16} | dict.fromkeys(
    ("mig_samples", "modularity_samples", "irs_samples", "unsupervised_samples"), 16
)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Counts and choices of all metrics. Training and test samples never overlap.

    Attributes:
        name: what results are labelled with.
        codes: which codes to score: posterior means, or samples, which are new ones
            each time that an image is drawn.
        z_diff_train: training points of z-diff.
        z_diff_eval: test points of z-diff.
        z_diff_batch: pairs averaged into one point.
        z_diff_max_iter: iterations of the logistic regression (lbfgs, C = 1).
        z_diff_images: distinct random images that the pairs are drawn from, where
            images have to be encoded; None means all images.
        fvm_train: votes that set the majority table.
        fvm_eval: fresh votes that the table is tested on.
        fvm_batch: images a vote.
        fvm_variance_samples: images that the global variances come from (FVM and
            m-FVM).
        fvm_scored_on: whether the score "fvm" is that of the votes that set the table
            ("own") or of the fresh ones ("held_out"). Both are always in the result.
        prune_std: a dimension is active if its standard deviation is at least this.
        m_fvm_train: votes of m-FVM, for each k.
        m_fvm_eval: fresh votes of m-FVM, for each k.
        m_fvm_batch: images a vote.
        m_fvm_ks: how many factors to fix together; None means 2 ... K - 1.
        min_distinct: fewest distinct images to draw from once factors are fixed.
        mig_samples: points of MIG.
        mig_bins: histogram bins a code, of equal width (MIG, modularity and the
            mutual information score).
        sap_train: points that the classifiers of SAP are fitted on.
        sap_test: points that they are tested on.
        sap_c: inverse regularisation C of the linear SVM (classes balanced).
        dci_train: points that the boosted trees of DCI are fitted on.
        dci_test: points that informativeness is tested on.
        dci_trees: boosting stages, one tree of depth 3 a factor value each.
        modularity_samples: points of modularity.
        explicitness_train: points that the one-vs-rest classifiers are fitted on.
        explicitness_test: points that they are tested on.
        explicitness_normalized: whether the area is that of probabilities normalised
            over a factor's values, as in disentanglement_lib, or of each classifier
            alone.
        infomec_train: points of InfoM and InfoC; InfoE is fitted on them.
        infomec_test: points that InfoE is tested on.
        infomec_neighbors: neighbours of the mutual information estimator.
        infomec_active_share: a dimension is active for InfoMEC if its range exceeds
            this share of the largest range.
        infomec_max_iter: iterations of the unregularised logistic regression.
        unsupervised_samples: points of the scores that need no factors; all points
            where there are fewer.
        irs_samples: points of IRS.
        irs_bins: factors with more values are merged into this many bins of equal
            width.
        irs_quantile: quantile of the deviations that stands for their maximum.
        bootstrap: resamples behind a confidence interval.
        refits: for intervals of metrics that fit a model or use nearest neighbours, how
            often this is repeated.
        confidence: coverage of the intervals.
        chance_repeats: draws of noise that a chance floor is averaged over.
        chance_repeats_dci: the same for DCI, which is slow.
        chance_repeats_votes: the same for z-diff, FVM and m-FVM, which vary most from
            draw to draw: m-FVM of noise by 0.08 under `official`, whose 100 variance
            images decide by chance which dimensions are elected.
    """

    name: str
    codes: Literal["mean", "sample"] = "mean"
    z_diff_train: int = 10_000
    z_diff_eval: int = 5_000
    z_diff_batch: int = 64
    z_diff_max_iter: int = 100
    z_diff_images: int | None = None
    fvm_train: int = 10_000
    fvm_eval: int = 5_000
    fvm_batch: int = 64
    fvm_variance_samples: int = 10_000
    fvm_scored_on: Literal["own", "held_out"] = "held_out"
    prune_std: float = 0.05
    m_fvm_train: int = 10_000
    m_fvm_eval: int = 10_000
    m_fvm_batch: int = 64
    m_fvm_ks: tuple[int, ...] | None = None
    min_distinct: int = 2
    mig_samples: int = 10_000
    mig_bins: int = 20
    sap_train: int = 10_000
    sap_test: int = 5_000
    sap_c: float = 0.01
    dci_train: int = 10_000
    dci_test: int = 5_000
    dci_trees: int = 100
    modularity_samples: int = 10_000
    explicitness_train: int = 10_000
    explicitness_test: int = 5_000
    explicitness_normalized: bool = True
    infomec_train: int = 10_000
    infomec_test: int = 5_000
    infomec_neighbors: int = 10
    infomec_active_share: float = 0.05
    infomec_max_iter: int = 100
    unsupervised_samples: int = 10_000
    irs_samples: int = 10_000
    irs_bins: int = 20
    irs_quantile: float = 0.99
    bootstrap: int = 200
    refits: int = 20
    confidence: float = 0.95
    chance_repeats: int = 3
    chance_repeats_dci: int = 1
    chance_repeats_votes: int = 3

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), _LEAST.get(field.name, 1)
            if field.type in (int, "int") and value < least:
                raise ValueError(f"{field.name} must be at least {least}, not {value}")

    @property
    def label(self) -> str:
        """The name, marked where the protocol differs from the one of that name."""
        unchanged = PROTOCOLS.get(self.name) == self
        return self.name if unchanged else f"{self.name} (modified)"


# The published counts (Jung et al. 2024, the authors' code). The metrics that the paper
# does not report use the same numbers of points.
_OFFICIAL = Protocol(
    name="official",
    codes="sample",
    z_diff_train=500,
    z_diff_eval=50,
    z_diff_batch=64,
    z_diff_max_iter=200,
    fvm_train=800,
    fvm_eval=800,
    fvm_batch=100,
    fvm_variance_samples=100,
    fvm_scored_on="own",
    prune_std=0.06,
    m_fvm_train=800,
    m_fvm_eval=800,
    m_fvm_batch=100,
    mig_samples=6_400,
    sap_train=6_400,
    sap_test=3_200,
    dci_train=6_400,
    dci_test=3_200,
    modularity_samples=6_400,
    explicitness_normalized=False,
    explicitness_train=6_400,
    explicitness_test=3_200,
    infomec_train=6_400,
    infomec_test=3_200,
    irs_samples=6_400,
    chance_repeats_votes=64,
    unsupervised_samples=6_400,
)

# disentanglement_lib (Locatello et al. 2019): the defaults above.
_DLIB = Protocol(name="dlib")

# For quick looks. Encoding images takes most of the time, so this needs few of them.
_FAST = Protocol(
    name="fast",
    z_diff_train=200,
    z_diff_eval=100,
    z_diff_images=5_000,
    fvm_train=200,
    fvm_eval=100,
    fvm_variance_samples=1_000,
    m_fvm_train=200,
    m_fvm_eval=200,
    mig_samples=2_000,
    sap_train=2_000,
    sap_test=1_000,
    dci_train=1_000,
    dci_test=500,
    dci_trees=20,
    modularity_samples=2_000,
    explicitness_normalized=False,
    explicitness_train=2_000,
    explicitness_test=1_000,
    infomec_train=2_000,
    infomec_test=1_000,
    irs_samples=2_000,
    unsupervised_samples=2_000,
    chance_repeats=1,
    chance_repeats_votes=16,
)

PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (_OFFICIAL, _DLIB, _FAST)}


def get_protocol(protocol: Protocol | str) -> Protocol:
    """The protocol of that name; a Protocol is returned as it is.

    Raises:
        ConfigError: for a name that is not in PROTOCOLS.
    """
    if isinstance(protocol, Protocol):
        return protocol
    require_choice("protocol", protocol, PROTOCOLS)
    return PROTOCOLS[protocol]
