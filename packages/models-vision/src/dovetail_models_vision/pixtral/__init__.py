"""Pixtral."""
