"""Grids of points: expansion, preflight, running."""
