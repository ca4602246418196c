"""Replay: a share of each block off the top of the mixture."""
