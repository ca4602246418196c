"""Mixtures: token shares of corpora as functions of progress."""
