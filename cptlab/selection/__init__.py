"""Selection: which training documents of a corpus are kept when it is built."""
