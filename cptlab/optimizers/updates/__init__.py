"""Optimizers of torch's kind that no library has quite so; they import torch, so only a run imports them."""
