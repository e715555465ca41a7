"""LLaVA-NeXT (1.6): pictures of any size as tiles."""
