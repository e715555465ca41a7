"""What detection transformers share: boxes, matching, losses, positions, backbones, attention."""
