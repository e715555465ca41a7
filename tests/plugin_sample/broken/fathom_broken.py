"""Raises when the entry point is loaded."""

raise RuntimeError("the anchor is lost")
