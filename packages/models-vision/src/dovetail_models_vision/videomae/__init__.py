"""VideoMAE."""
