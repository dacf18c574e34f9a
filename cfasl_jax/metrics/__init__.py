"""Disentanglement metrics on plain arrays, and the named protocols that fix them.

Most users want `score_arrays(codes, factors)`; each metric is a function of its own.
"""

from cfasl_jax.metrics.dci import dci
from cfasl_jax.metrics.explicitness import explicitness
from cfasl_jax.metrics.fvm import fvm
from cfasl_jax.metrics.infomec import infomec
from cfasl_jax.metrics.intervals import aggregate
from cfasl_jax.metrics.irs import irs
from cfasl_jax.metrics.m_fvm import m_fvm
from cfasl_jax.metrics.metric import Metric, Score
from cfasl_jax.metrics.mig import mig
from cfasl_jax.metrics.modularity import modularity
from cfasl_jax.metrics.points import load_array
from cfasl_jax.metrics.protocols import PROTOCOLS, Protocol, get_protocol
from cfasl_jax.metrics.registry import METRICS, SCORES, better, get_metrics
from cfasl_jax.metrics.sampling import Grid, Samples, Table
from cfasl_jax.metrics.sap import sap
from cfasl_jax.metrics.suite import score, score_arrays, score_unsupervised
from cfasl_jax.metrics.table import format_scores, format_summary
from cfasl_jax.metrics.udr import udr
from cfasl_jax.metrics.z_diff import z_diff

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "SCORES",
    "Grid",
    "Metric",
    "Protocol",
    "Samples",
    "Score",
    "Table",
    "aggregate",
    "better",
    "dci",
    "explicitness",
    "format_scores",
    "format_summary",
    "fvm",
    "get_metrics",
    "get_protocol",
    "infomec",
    "irs",
    "load_array",
    "m_fvm",
    "mig",
    "modularity",
    "sap",
    "score",
    "score_arrays",
    "score_unsupervised",
    "udr",
    "z_diff",
]
