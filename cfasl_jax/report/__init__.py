"""Figures, animations and the HTML page, from saved arrays and results; without JAX."""
