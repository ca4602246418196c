"""Learning-rate schedules: pure functions of tokens."""
