"""Mamba 2."""
