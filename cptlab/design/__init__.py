"""Choosing the next runs: which points tell most about a decision for their FLOPs, and when they are enough."""
