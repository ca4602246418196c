"""Questions to fitted laws, and their answers: a choice with its interval, or why there is none."""
