"""Fitting: a law and a table of observations in, parameters with their uncertainty out."""
