"""The tasks of speech and sound."""
