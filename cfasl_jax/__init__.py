"""CFASL in JAX: disentangled representations from composite symmetries.

`load(workdir)` gives a trained model as plain functions.
"""

import sys

from cfasl_jax import errors

# `python -m cfasl_jax.NAME` imports this package before the module itself, and until
# then sys.argv[0] is "-m".
if sys.argv[:1] == ["-m"] and any(a.startswith("cfasl_jax") for a in sys.orig_argv):
    errors.make_interrupts_final()

from cfasl_jax.run.model import Model, load

__all__ = ["Model", "__version__", "load"]

__version__ = "0.1.0"  # setup.py reads it here
