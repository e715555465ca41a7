"""OWL-ViT's encoder of images, which is CLIP's.

B batch, C channels, H height, W width, N patches, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from dovetail_models_vision.clip.layers import TwoTowers
from dovetail_models_vision.clip.vision import CLIPVisionTransformer
from dovetail_models_vision.owlvit.configuration import OwlViTVisionConfig


class OwlViTVisionTransformer(CLIPVisionTransformer):
    """CLIP's, with a norm of another name."""

    config_class = OwlViTVisionConfig
    first_norm = "pre_layernorm"


class OwlViTVisionModel(TwoTowers):
    """The image encoder alone."""

    config_class = OwlViTVisionConfig
    base_model_prefix = "owlvit"
    main_input_name = "pixel_values"
    input_embeddings = "vision_model.embeddings.patch_embedding"
    _no_split_modules: ClassVar[list[str]] = ["CLIPEncoderLayer"]

    def __init__(self, config: OwlViTVisionConfig) -> None:
        super().__init__(config)
        self.vision_model = OwlViTVisionTransformer(config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Hidden states (B, 1 + N, D) of images (B, C, H, W), and the norm of the first (B, D)."""
        return self.vision_model(
            pixel_values,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
