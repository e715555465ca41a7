"""Dovetail's own methods, for decoding on processors: `int8`, `int4` and `half`."""
