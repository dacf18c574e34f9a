"""Networks: Flax modules and the convolutions they are made of; no losses."""
