"""Functions that use a trained run: the model, its codes, scores, figures, export."""
