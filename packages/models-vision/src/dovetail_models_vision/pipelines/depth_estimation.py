"""A picture to the distance of everything in it."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines.image_input import PixelPipeline


class DepthEstimationPipeline(PixelPipeline):
    """``{"predicted_depth", "depth"}``: what the model says for each pixel, as a tensor (height,
    width), and the same as a PIL image of mode L, from 0 for the least to 255 for the most."""

    def _sanitize_parameters(
        self, timeout: float | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return given(timeout=timeout), {}, {}

    def postprocess(self, model_outputs: Any) -> dict[str, Any]:
        """The depth at the size of the picture, as numbers and as shades."""
        sizes = [tuple(size) for size in model_outputs["target_size"].tolist()]
        if hasattr(self.image_processor, "post_process_depth_estimation"):
            (found,) = self.image_processor.post_process_depth_estimation(model_outputs, sizes)
            depth = found["predicted_depth"]
        else:
            low = model_outputs["predicted_depth"][None]  # (1, 1, height, width)
            depth = interpolate(low, size=sizes[0], mode="bicubic", align_corners=False)[0, 0]
        return {"predicted_depth": depth, "depth": Image.fromarray(shades(depth).numpy())}

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The depth as shades."""
        return result["depth"].convert("RGB")


def shades(depth: Tensor) -> Tensor:
    """Numbers (height, width) as bytes, the least 0 and the greatest 255; all 0 where they are
    equal."""
    values = depth.float()
    span = values.max() - values.min()
    return torch.nan_to_num((values - values.min()) / span * 255).to(torch.uint8)
