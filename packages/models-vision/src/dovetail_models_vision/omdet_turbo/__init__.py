"""OmDet-Turbo."""
