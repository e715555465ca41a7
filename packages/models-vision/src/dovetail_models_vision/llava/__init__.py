"""LLaVA 1.5: pictures as 576 tokens of a language model."""
