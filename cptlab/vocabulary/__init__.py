"""How a run changes the vocabulary of its base before it trains."""
