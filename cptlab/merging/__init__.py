"""Models of one base made into one, tensor by tensor."""
