"""Inputs of the models that read images."""

from __future__ import annotations

from typing import Any

import torch

from dovetail.testing import seeded
from dovetail.testing.subject import BATCH, LENGTH, Subject


class PixelInputs(Subject):
    """Seeded images of the size that the config says, in place of token ids."""

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = LENGTH
    ) -> dict[str, Any]:
        """``pixel_values`` (B, C, H, W)."""
        return {"pixel_values": self.pixels(self.body_config(config), batch)}

    def pixels(self, config: Any, batch: int = BATCH) -> torch.Tensor:
        """Images (B, C, H, W) of ``config.image_size``, or of 32 by 32 in colours where it
        does not."""
        size = getattr(config, "image_size", 32)
        height, width = (size, size) if isinstance(size, int) else size
        shape = (batch, getattr(config, "num_channels", 3), height, width)
        return torch.from_numpy(seeded.noise("pixels", shape))

    def body_config(self, config: Any) -> Any:
        """The config of the part that reads images."""
        return getattr(config, "vision_config", config)
