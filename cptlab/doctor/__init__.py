"""What this machine offers a run, and whether one can start here."""
