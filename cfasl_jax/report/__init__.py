"""Figures, animations and the HTML page, made from saved arrays and without JAX."""
