"""Qwen 2 with experts."""
