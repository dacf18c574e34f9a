"""Loss terms, each a pure function of arrays."""
