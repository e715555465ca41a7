"""OWL-ViT."""
