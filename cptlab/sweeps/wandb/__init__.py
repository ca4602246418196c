"""A study as sweeps of Weights & Biases: written, handed in, worked off by agents, checked against the records."""
