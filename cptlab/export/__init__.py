"""A finished run as a Hugging Face folder that other tools load, checked against the run's own model."""
