"""Swin."""
