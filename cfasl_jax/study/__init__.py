"""Studies: arms, tuned on some seeds and compared on others, with error bars."""
