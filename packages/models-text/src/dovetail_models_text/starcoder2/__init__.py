"""StarCoder 2."""
