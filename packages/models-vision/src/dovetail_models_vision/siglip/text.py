"""SigLIP's text encoder: not causal, and its last token, be it padding, stands for the text.

B batch, T tokens, D width.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dovetail.layers.projections import Linear
from dovetail.outputs import BaseModelOutputWithPooling
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.clip.layers import (
    CLIPEncoder,
    CLIPTextEmbeddings,
    TextAlone,
    check_length,
)
from dovetail_models_vision.siglip.configuration import SiglipTextConfig
from dovetail_models_vision.siglip.layers import SiglipTowers


class SiglipTextTransformer(SiglipTowers):
    """The encoder."""

    config_class = SiglipTextConfig
    input_embeddings = "embeddings.token_embedding"

    def __init__(self, config: SiglipTextConfig) -> None:
        super().__init__(config)
        self.embeddings = CLIPTextEmbeddings(config)
        self.encoder = CLIPEncoder(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.head = Linear(config.hidden_size, config.hidden_size)
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPooling:
        """Hidden states (B, T, D) of texts (B, T), and what is made of the last of each (B, D)."""
        check_length(input_ids, self.config.max_position_embeddings)
        tokens = self.embed(input_ids, None)
        context = self.encoder_context(
            tokens, attention_mask, position_ids=position_ids, recorder=recorder
        )
        hidden_states = self.embeddings(tokens, context.position_ids)
        hidden_states = self.run_layers(
            self.encoder.layers, hidden_states, context, record_last=True
        )
        hidden_states = self.final_layer_norm(hidden_states)
        return BaseModelOutputWithPooling(hidden_states, self.head(hidden_states[:, -1]))


class SiglipTextModel(TextAlone, SiglipTowers):
    """The text encoder alone."""

    config_class = SiglipTextConfig
    base_model_prefix = "siglip"
    input_embeddings = "text_model.embeddings.token_embedding"
    _no_split_modules: ClassVar[list[str]] = ["CLIPTextEmbeddings", "CLIPEncoderLayer"]

    def __init__(self, config: SiglipTextConfig) -> None:
        super().__init__(config)
        self.text_model = SiglipTextTransformer(config)
        self.post_init()
