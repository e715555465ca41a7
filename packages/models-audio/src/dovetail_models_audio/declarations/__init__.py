"""What this distribution declares; nothing is imported."""
