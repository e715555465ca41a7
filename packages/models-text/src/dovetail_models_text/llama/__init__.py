"""Llama 1 to 3."""
