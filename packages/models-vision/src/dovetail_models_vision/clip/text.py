"""CLIP's text encoder: causal, and its state at the end of the text stands for the text.

B batch, T tokens, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.layers.projections import Linear
from dovetail.outputs import BaseModelOutputWithPooling
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_vision.clip.configuration import CLIPTextConfig
from dovetail_models_vision.clip.layers import (
    CLIPEncoder,
    CLIPTextEmbeddings,
    TextAlone,
    TwoTowers,
    check_length,
    fresh,
)
from dovetail_models_vision.clip.outputs import CLIPTextModelOutput


class CLIPTextTransformer(TwoTowers):
    """The encoder."""

    config_class: ClassVar[Any] = CLIPTextConfig
    input_embeddings = "embeddings.token_embedding"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = CLIPTextEmbeddings(config)
        self.encoder = CLIPEncoder(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPooling:
        """Hidden states (B, T, D) of texts (B, T), and those at their ends (B, D)."""
        check_length(input_ids, self.config.max_position_embeddings)
        tokens = self.embed(input_ids, None)
        context = self.decoder_context(
            tokens, attention_mask, use_cache=False, position_ids=position_ids, recorder=recorder
        )
        hidden_states = self.embeddings(tokens, context.position_ids)
        hidden_states = self.run_layers(
            self.encoder.layers, hidden_states, context, record_last=True
        )
        hidden_states = self.final_layer_norm(hidden_states)
        rows = torch.arange(len(tokens), device=tokens.device)
        pooled = hidden_states[rows, self.ends(input_ids)]  # type: ignore[arg-type]
        return BaseModelOutputWithPooling(hidden_states, pooled)

    def ends(self, input_ids: Tensor) -> Tensor:
        """Where each text has its first end token, (B,).

        The config of the first checkpoints names a wrong one, 2; theirs is the highest id.
        """
        if self.config.eos_token_id == 2:
            return input_ids.argmax(-1)
        return (input_ids == self.config.eos_token_id).int().argmax(-1)


class CLIPTextPreTrainedModel(TwoTowers):
    """Base of the classes that are a text encoder."""

    config_class = CLIPTextConfig
    base_model_prefix = "clip"
    input_embeddings = "text_model.embeddings.token_embedding"
    _no_split_modules: ClassVar[list[str]] = ["CLIPTextEmbeddings", "CLIPEncoderLayer"]


class CLIPTextModel(TextAlone, CLIPTextPreTrainedModel):
    """The text encoder alone."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__(config)
        self.text_model = CLIPTextTransformer(config)
        self.post_init()


class CLIPTextModelWithProjection(CLIPTextPreTrainedModel):
    """The text encoder with its projection to the width in which texts and images meet."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__(config)
        self.text_model = CLIPTextTransformer(config)
        std = config.hidden_size**-0.5 * config.initializer_factor
        projection = Linear(config.hidden_size, config.projection_dim, bias=False)
        self.text_projection = fresh(projection, std)
        self.post_init()

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> CLIPTextModelOutput:
        """Embeddings (B, projection) of texts (B, T)."""
        outputs = self.text_model(
            input_ids, attention_mask, position_ids, return_dict=True, **kwargs
        )
        return CLIPTextModelOutput(
            self.text_projection(outputs.pooler_output),
            outputs.last_hidden_state,
            outputs.get("hidden_states"),
            outputs.get("attentions"),
        )
