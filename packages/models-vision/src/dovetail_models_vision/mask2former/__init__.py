"""Mask2Former."""
