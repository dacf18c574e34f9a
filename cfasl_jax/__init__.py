"""CFASL in JAX: disentangled representations from composite symmetries.

`load(workdir)` gives a trained model as plain functions.
"""

import sys

from cfasl_jax import errors

# Of `python -m cfasl_jax.NAME` this is imported first, before the module itself, and
# Python writes "-m" there meanwhile.
if sys.argv[:1] == ["-m"] and any(a.startswith("cfasl_jax") for a in sys.orig_argv):
    errors.make_interrupts_final()

from cfasl_jax.run.model import Model, load

__all__ = ["Model", "__version__", "load"]

__version__ = "0.1.0"  # setup.py reads it here
