"""Big Transfer (BiT)."""
