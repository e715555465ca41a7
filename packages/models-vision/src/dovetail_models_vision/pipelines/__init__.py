"""The tasks on pictures and videos, one module each."""
