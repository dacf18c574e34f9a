"""Shared settings of the tests: silent rank promotion is an error."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")

# Several devices on the CPU, to compare parallel training with plain training.
jax.config.update("jax_num_cpu_devices", 4)
