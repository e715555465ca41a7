"""A picture to the hidden states of a model."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image

from dovetail.errors import PipelineError
from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.depth_estimation import shades
from dovetail_models_vision.pipelines.image_input import ImagePipeline


class ImageFeatureExtractionPipeline(ImagePipeline):
    """The first output of a base model, usually its last hidden state, as nested lists (1, T, D).

    Arguments of a call: `pool` (the pooled output (1, D) instead), `return_tensors` (a tensor in
    place of lists), `image_processor_kwargs`.
    """

    _load_tokenizer = False

    def _sanitize_parameters(
        self,
        image_processor_kwargs: dict[str, Any] | None = None,
        return_tensors: bool | None = None,
        pool: bool | None = None,
        timeout: float | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = {**(image_processor_kwargs or {}), **given(timeout=timeout)}
        return preprocess, {}, given(pool=pool, return_tensors=return_tensors)

    def preprocess(
        self, image: Any, timeout: float | None = None, **image_processor_kwargs: Any
    ) -> dict[str, Any]:
        """Read and prepare one picture."""
        return self.prepare(self.read(image, timeout), **image_processor_kwargs)

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs)

    def postprocess(
        self, model_outputs: Any, pool: bool = False, return_tensors: bool = False
    ) -> Any:
        """States (1, T, D), or (1, D) when pooled."""
        if not pool:
            features = model_outputs[0]
        elif "pooler_output" in model_outputs:
            features = model_outputs["pooler_output"]
        else:
            raise PipelineError(
                f"pool=True: {type(self.model).__name__} gives no pooled output, only "
                f"{', '.join(model_outputs)}. Load it with add_pooling_layer=True, or leave pool "
                "out."
            )
        return features if return_tensors else features.tolist()

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture above its vectors, a row of shades for each, the least number black and the
        greatest white; maps (1, C, H, W) have a row for each place."""
        (states,) = torch.as_tensor(result).float().cpu()
        rows = states.flatten(1).T if states.ndim == 3 else states.reshape(-1, states.shape[-1])
        return drawing.with_shades(self.read(inputs), Image.fromarray(shades(rows).numpy()))
