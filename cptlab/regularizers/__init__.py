"""Regularisers: what keeps a run near its base, beside the data that it trains on."""
