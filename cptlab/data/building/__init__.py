"""Building corpora: text cut into shards, tokenised in parallel, merged into memory-mapped files with a manifest."""
