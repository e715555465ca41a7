"""StableLM."""
