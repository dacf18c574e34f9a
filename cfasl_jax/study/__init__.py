"""Studies: arms are tuned on some seeds and compared on others, with intervals."""
