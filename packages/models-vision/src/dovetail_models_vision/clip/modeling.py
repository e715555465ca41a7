"""CLIP: texts and images embedded where those that belong together are near each other (arXiv
2103.00020).

B batch, C channels, H height, W width, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput
from dovetail_models_vision.clip.configuration import CLIPConfig
from dovetail_models_vision.clip.layers import TwoTowers, fresh
from dovetail_models_vision.clip.pairs import TextImagePairs
from dovetail_models_vision.clip.text import CLIPTextTransformer
from dovetail_models_vision.clip.vision import CLIPVisionTransformer
from dovetail_models_vision.heads import ForImageClassification, classifier


class CLIPPreTrainedModel(TwoTowers):
    config_class: ClassVar[Any] = CLIPConfig
    base_model_prefix = "clip"
    input_embeddings = "text_model.embeddings.token_embedding"
    _no_split_modules: ClassVar[list[str]] = [
        "CLIPTextEmbeddings",
        "CLIPEncoderLayer",
        "CLIPVisionEmbeddings",
    ]


class CLIPModel(TextImagePairs, CLIPPreTrainedModel):
    """Both halves, their projections, and a learned scale of similarities."""

    text_class: ClassVar[type[PreTrainedModel]] = CLIPTextTransformer
    vision_class: ClassVar[type[PreTrainedModel]] = CLIPVisionTransformer

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.text_model = self.text_class(config.text_config)
        self.vision_model = self.vision_class(config.vision_config)
        self.visual_projection = self.projection(config.vision_config.hidden_size)
        self.text_projection = self.projection(config.text_config.hidden_size)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.post_init()

    def projection(self, width: int) -> nn.Module:
        """The layer that takes a half of `width` to where both meet."""
        layer = Linear(width, self.config.projection_dim, bias=False)
        return fresh(layer, width**-0.5 * self.config.initializer_factor)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            self.logit_scale.data.fill_(self.config.logit_scale_init_value)

    def project_text(self, pooled: Tensor) -> Tensor:
        return self.text_projection(pooled)

    def project_image(self, pooled: Tensor) -> Tensor:
        return self.visual_projection(pooled)


class CLIPForImageClassification(ForImageClassification, CLIPPreTrainedModel):
    """A linear layer over the mean of the image encoder's patches."""

    main_input_name = "pixel_values"
    input_embeddings = "vision_model.embeddings.patch_embedding"

    def __init__(self, config: CLIPConfig) -> None:
        PreTrainedModel.__init__(self, config)
        self.num_labels = config.num_labels
        self.vision_model = CLIPVisionTransformer(config.vision_config)
        self.build_head()
        self.post_init()

    def build_head(self) -> None:
        width = self.config.vision_config.hidden_size
        std = width**-0.5 * self.config.initializer_factor
        self.classifier = fresh(classifier(width, self.num_labels), std)

    def encode(self, pixel_values: Tensor | None, **kwargs: Any) -> ModelOutput:
        return self.vision_model(pixel_values, return_dict=True, **self.recorded_by_default(kwargs))

    def features(self, outputs: ModelOutput) -> Tensor:
        return outputs.last_hidden_state[:, 1:].mean(1)
