"""What all tasks on pictures share: reading them, and preparing them for the model."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from dovetail.errors import PipelineError
from dovetail.outputs import ModelOutput
from dovetail.pipelines import Pipeline
from dovetail.pipelines.batching import PadCollate
from dovetail_models_vision.images.loading import load_image


class ImagePipeline(Pipeline):
    """A task on pictures: a path, an address, base64, a PIL image, or many of these.

    `timeout` bounds the download of an address, in seconds.
    """

    def __call__(self, inputs: Any = None, **kwargs: Any) -> Any:
        """The result for one picture, a list for a list, an iterator for a dataset or generator;
        `images` is another name of `inputs`."""
        inputs = kwargs.pop("images", inputs)
        if inputs is None:
            raise PipelineError(
                f"The task {self.task!r} needs a picture: pass a path, an address, base64 or a PIL "
                "image, or a list of them."
            )
        return super().__call__(list(inputs) if isinstance(inputs, tuple) else inputs, **kwargs)

    def read(self, image: Any, timeout: float | None = None) -> Image.Image:
        """The picture, upright and RGB."""
        return load_image(image, timeout=timeout)

    def prepare(self, image: Image.Image, **options: Any) -> dict[str, Any]:
        """The tensors that the model sees of one picture, in the type of its weights."""
        return self.in_model_type(
            self.image_processor(images=[image], return_tensors="pt", **options)
        )

    def in_model_type(self, inputs: Any) -> dict[str, Any]:
        """`inputs` with floating-point tensors in the type of the model's weights."""
        return {
            name: value.to(self.torch_dtype)
            if isinstance(value, Tensor) and value.is_floating_point()
            else value
            for name, value in inputs.items()
        }

    def _collate(self) -> PadCollate:
        """Pictures of one size, side by side: no tokenizer has to know how to pad."""
        return PadCollate({})


class PixelPipeline(ImagePipeline):
    """A task whose results lie in pixels of the picture: its size goes along with the outputs."""

    _load_tokenizer = False

    def preprocess(self, image: Any, timeout: float | None = None) -> dict[str, Any]:
        """Read and prepare one picture, and note its size."""
        picture = self.read(image, timeout)
        return {**self.prepare(picture), "target_size": size_of(picture)}

    def _forward(self, model_inputs: dict[str, Any]) -> ModelOutput:
        tensors = {name: value for name, value in model_inputs.items() if name != "target_size"}
        return ModelOutput(**self.model(**tensors), target_size=model_inputs["target_size"])


def size_of(image: Image.Image) -> Tensor:
    """Height and width of a picture as a batch of one, (1, 2)."""
    return torch.tensor([[image.height, image.width]])
