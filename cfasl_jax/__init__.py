"""CFASL in JAX: disentangled representations from composite symmetries.

`load(workdir)` gives a trained model as plain functions.
"""

from cfasl_jax.run.model import Model, load

__all__ = ["Model", "load"]
