"""Training: the pure step, devices, checkpoints, the record and the loop."""
