"""What is minimised: a base objective, alone or with CFASL, behind one signature.

An `Objective` bundles Flax modules and choices that are fixed for a run; all arrays
are arguments. Hyperparameters that a sweep varies are traced, so that one compiled
program serves every setting; noise is an argument too, so that a loss is a pure
function that an independent implementation can be held against.
"""

from cfasl_jax.objectives.arguments import Hyper, Noise, Progress, start
from cfasl_jax.objectives.construction import build, hyper
from cfasl_jax.objectives.objective import Objective

__all__ = ["Hyper", "Noise", "Objective", "Progress", "build", "hyper", "start"]
