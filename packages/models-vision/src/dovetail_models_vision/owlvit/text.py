"""OWL-ViT's encoder of texts, which is CLIP's.

B batch, T tokens, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from dovetail_models_vision.clip.layers import TwoTowers
from dovetail_models_vision.clip.text import CLIPTextTransformer
from dovetail_models_vision.owlvit.configuration import OwlViTTextConfig


class OwlViTTextTransformer(CLIPTextTransformer):
    """CLIP's, whose texts end at their highest id."""

    config_class = OwlViTTextConfig

    def ends(self, input_ids: Tensor) -> Tensor:
        return input_ids.argmax(-1)


class OwlViTTextModel(TwoTowers):
    """The text encoder alone."""

    config_class = OwlViTTextConfig
    base_model_prefix = "owlvit"
    input_embeddings = "text_model.embeddings.token_embedding"
    _no_split_modules: ClassVar[list[str]] = ["CLIPTextEmbeddings", "CLIPEncoderLayer"]

    def __init__(self, config: OwlViTTextConfig) -> None:
        super().__init__(config)
        self.text_model = OwlViTTextTransformer(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Hidden states (B, T, D) of texts (B, T), and those at their ends (B, D)."""
        return self.text_model(
            input_ids,
            attention_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
