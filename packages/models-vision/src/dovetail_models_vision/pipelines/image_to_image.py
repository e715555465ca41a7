"""A picture to another: larger, cleaner."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torch import Tensor

from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines.image_input import ImagePipeline


class ImageToImagePipeline(ImagePipeline):
    """What the model makes of a picture, as a PIL image."""

    _load_tokenizer = False

    def _sanitize_parameters(
        self, timeout: float | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return given(timeout=timeout), {}, {}

    def preprocess(self, image: Any, timeout: float | None = None) -> dict[str, Any]:
        """Read and prepare one picture."""
        return self.prepare(self.read(image, timeout))

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        return self.model(**model_inputs)

    def postprocess(self, model_outputs: Any) -> Image.Image:
        """The picture."""
        return as_picture(model_outputs.reconstruction[0])

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture itself."""
        return result.convert("RGB")


def as_picture(pixels: Tensor) -> Image.Image:
    """Channels (C, H, W) from 0 to 1 as a picture; one channel is grey."""
    shades = (pixels.detach().float().cpu().clamp(0, 1) * 255).round().byte()
    array = shades.permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
