"""What is needed to go on with a run: written whole or not at all, checked before it is used."""
