"""The formats of bitsandbytes: 8 bits (arXiv 2208.07339) and 4 bits (arXiv 2305.14314)."""
