"""What works on a trained run: the model, its codes, scores, figures and export."""
