"""Recommendation, fits and observations -> figures and one self-contained page."""
