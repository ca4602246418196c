"""Multirun on SLURM through submitit: one job a point."""
