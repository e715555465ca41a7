"""Swin2SR."""
