"""Networks: Flax modules and their convolutions, without losses."""
