"""What this distribution declares, by kind of architecture; nothing is imported."""
