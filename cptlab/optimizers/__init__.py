"""Optimizers: each holds its peak LR, the schedule only scales it."""
