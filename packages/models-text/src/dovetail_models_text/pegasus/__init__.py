"""Pegasus."""
