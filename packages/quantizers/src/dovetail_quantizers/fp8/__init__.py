"""8-bit floats: rows with a scale each (FBGEMM), and blocks with a scale each (fine-grained)."""
