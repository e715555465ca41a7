"""mBART."""
