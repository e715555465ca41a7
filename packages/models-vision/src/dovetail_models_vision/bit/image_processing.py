"""BiT's pictures, which are CLIP's; DINOv2 takes them too."""

from __future__ import annotations

from dovetail_models_vision.clip.image_processing import CLIPImageProcessor


class BitImageProcessor(CLIPImageProcessor):
    """CLIP's under another name."""
