"""LLaVA-NeXT-Video: pictures of any size and pooled frames."""
