"""Layers of adapters that no library has quite so; they import bitsandbytes, so only a run imports them."""
