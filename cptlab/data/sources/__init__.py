"""Sources of text: the variants of the config group `data`, one file each."""
