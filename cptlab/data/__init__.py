"""Text to batches: sources, tokenizer, memory-mapped corpora, the order of rows."""
