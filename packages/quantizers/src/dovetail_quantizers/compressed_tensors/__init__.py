"""The formats of compressed-tensors, which llm-compressor writes: integers, 8-bit floats, zeros."""
