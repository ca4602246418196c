"""Which weights are zero while a run trains, a variant a file."""
