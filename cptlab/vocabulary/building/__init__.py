"""Tokenizers and rows of embeddings for another vocabulary, written as a base of its own."""
