"""SigLIP: texts and images embedded by judging each pair on its own (arXiv 2303.15343).

B batch, C channels, H height, W width, N patches, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput
from dovetail_models_vision.clip.pairs import TextImagePairs
from dovetail_models_vision.heads import ForImageClassification, classifier
from dovetail_models_vision.siglip.configuration import SiglipConfig
from dovetail_models_vision.siglip.layers import SiglipTowers
from dovetail_models_vision.siglip.text import SiglipTextTransformer
from dovetail_models_vision.siglip.vision import SiglipVisionTransformer


class SiglipPreTrainedModel(SiglipTowers):
    config_class = SiglipConfig
    base_model_prefix = "siglip"
    input_embeddings = "text_model.embeddings.token_embedding"
    _no_split_modules: ClassVar[list[str]] = [
        "CLIPTextEmbeddings",
        "CLIPEncoderLayer",
        "SiglipVisionEmbeddings",
        "SiglipMultiheadAttentionPoolingHead",
    ]


class SiglipModel(TextImagePairs, SiglipPreTrainedModel):
    """Both halves, and a learned scale and bias of similarities."""

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__(config)
        self.text_model = SiglipTextTransformer(config.text_config)
        self.vision_model = SiglipVisionTransformer(config.vision_config)
        self.logit_scale = nn.Parameter(torch.zeros(1))
        self.logit_bias = nn.Parameter(torch.zeros(1))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            self.logit_scale.data.zero_()
            self.logit_bias.data.zero_()

    def similarity(self, text_embeds: Tensor, image_embeds: Tensor) -> Tensor:
        return super().similarity(text_embeds, image_embeds) + self.logit_bias

    def pair_loss(self, similarity: Tensor) -> Tensor:
        return sigmoid_loss(similarity)


class SiglipForImageClassification(ForImageClassification, SiglipPreTrainedModel):
    """A linear layer over the mean of the image encoder's patches."""

    main_input_name = "pixel_values"
    input_embeddings = "vision_model.embeddings.patch_embedding"

    def __init__(self, config: SiglipConfig) -> None:
        PreTrainedModel.__init__(self, config)
        self.num_labels = config.num_labels
        self.vision_model = SiglipVisionTransformer(config.vision_config)
        self.classifier = classifier(config.vision_config.hidden_size, self.num_labels)
        self.post_init()

    def encode(self, pixel_values: Tensor | None, **kwargs: Any) -> ModelOutput:
        return self.vision_model(pixel_values, return_dict=True, **self.recorded_by_default(kwargs))

    def features(self, outputs: ModelOutput) -> Tensor:
        return outputs.last_hidden_state.mean(1)


def sigmoid_loss(similarity: Tensor) -> Tensor:
    """How far the pairs of `similarity` (B, B) are from being told apart: those of one row belong
    together, no others do (arXiv 2303.15343, algorithm 1)."""
    signs = 2 * torch.eye(len(similarity), device=similarity.device, dtype=similarity.dtype) - 1
    return -F.logsigmoid(signs * similarity).sum(-1).mean()
