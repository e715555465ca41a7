"""Command R."""
