"""Data: where pictures and labels come from, how they are decoded, cached and split."""
