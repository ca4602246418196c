"""Kernels of a CPU that are faster than those torch takes by itself."""
