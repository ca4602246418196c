"""What a run may measure beside its losses, at its evaluations: `diagnostics.*`, all of it off by default."""
