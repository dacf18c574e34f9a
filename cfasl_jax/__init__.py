"""CFASL in JAX: disentangled representations from composite symmetries.

`load(workdir)` gives a trained model as plain functions.
"""

from cfasl_jax.run.model import Model, load

__all__ = ["Model", "__version__", "load"]

__version__ = "0.1.0"  # setup.py reads it here
