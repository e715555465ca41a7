"""The Q-Former: a BERT in which learned queries read a picture (arXiv 2301.12597).

Queries come first, texts may follow; both attend to each other, but only queries attend to the
picture, and each kind has feed-forward layers of its own. B batch, Q queries, T tokens of the text,
S tokens of the picture, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.context import Context
from dovetail.layers.pruning import HeadPruning
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPoolingAndCrossAttentions
from dovetail.recording import Recorder, backbone
from dovetail_models_text.bert.modeling import BertIntermediate, BertOutput
from dovetail_models_vision.blip.text import BlipTextSelfAttention
from dovetail_models_vision.blip_2.configuration import Blip2QFormerConfig


@dataclass
class QueryContext(Context):
    """A pass whose first `queries` positions are queries."""

    queries: int = 0


class QFormerAttention(HeadPruning):
    """BERT's attention under other names."""

    def __init__(self, config: Any, layer_idx: int, cross: bool = False) -> None:
        super().__init__(config.num_attention_heads)
        self.attention = BlipTextSelfAttention(config, layer_idx, cross)
        self.output = BertOutput(config, config.hidden_size)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        """States (B, Q + T, D) after the residual."""
        return self.output(self.attention(hidden_states, context), hidden_states)

    def prune_heads(self, heads: list[int]) -> None:
        """Remove `heads`, numbered as before any pruning."""
        inner = self.attention
        names = ("query", "key", "value")
        self.prune(heads, inner, names, self.output, "dense", inner.head_dim)


class QFormerLayer(nn.Module):
    """Attention, attention of the queries to a picture in some layers, and the MLPs."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.attention = QFormerAttention(config, layer_idx)
        if layer_idx % config.cross_attention_frequency == 0:
            self.crossattention = QFormerAttention(config, layer_idx, cross=True)
        if getattr(config, "use_qformer_text_input", True):
            self.intermediate = BertIntermediate(config)
            self.output = BertOutput(config, config.intermediate_size)
        self.intermediate_query = BertIntermediate(config)
        self.output_query = BertOutput(config, config.intermediate_size)

    def forward(self, hidden_states: Tensor, context: QueryContext) -> Tensor:
        """States (B, Q + T, D) of queries and text."""
        states = self.attention(hidden_states, context)
        queries, text = states.tensor_split([context.queries], 1)
        if context.queries:
            if hasattr(self, "crossattention"):
                queries = self.crossattention(queries, context)
            queries = self.output_query(self.intermediate_query(queries), queries)
        if text.shape[1]:
            text = self.output(self.intermediate(text), text)
        return torch.cat((queries, text), 1)


class QFormerEncoder(nn.Module):
    """Holds the layers under the checkpoint's name."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            QFormerLayer(config, index) for index in range(config.num_hidden_layers)
        )


class QFormer(PreTrainedModel):
    """Base of the Q-Formers."""

    encoder: QFormerEncoder
    base_model_prefix = "qformer"
    main_input_name = "query_embeds"
    _no_split_modules: ClassVar[list[str]] = ["QFormerLayer"]

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        for layer, heads in heads_to_prune.items():
            self.encoder.layer[layer].attention.prune_heads(heads)  # type: ignore[operator, union-attr]

    def read(
        self,
        states: Tensor,
        queries: int,
        attention_mask: Tensor | None,
        head_mask: Tensor | None,
        encoder_hidden_states: Tensor | None,
        encoder_attention_mask: Tensor | None,
        recorder: Recorder | None,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Hidden states (B, Q + T, D) of embedded `states`, the first `queries` of which read the
        picture `encoder_hidden_states` (B, S, D), and that of the first."""
        plain = self.encoder_context(states, attention_mask, head_mask=head_mask, recorder=recorder)
        context = QueryContext(**vars(plain), queries=queries)
        context.cross_head_mask = context.head_mask
        if queries:
            context.reading(states[:, :queries], encoder_hidden_states, encoder_attention_mask)
        states = self.run_layers(self.encoder.layer, states, context)
        return BaseModelOutputWithPoolingAndCrossAttentions(states, states[:, 0])


class Blip2QFormerModel(QFormer):
    """Reads what is embedded already."""

    config_class = Blip2QFormerConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.encoder = QFormerEncoder(config)
        self.post_init()

    @backbone
    def forward(
        self,
        query_embeds: Tensor,
        query_length: int | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Hidden states (B, Q + T, D) and the first of them (B, D).

        `query_embeds` (B, Q + T, D) are queries and embedded tokens; `query_length` says how many
        are queries, by default all.
        """
        queries = query_embeds.shape[1] if query_length is None else query_length
        return self.read(
            self.dropout(self.layernorm(query_embeds)),
            queries,
            attention_mask,
            head_mask,
            encoder_hidden_states,
            encoder_attention_mask,
            recorder,
        )


class TokenEmbeddings(nn.Module):
    """Tokens with their positions, behind queries where there are any."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.absolute = config.position_embedding_type == "absolute"

    def forward(
        self,
        input_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        query_embeds: Tensor | None = None,
    ) -> Tensor:
        """Queries (B, Q, D) and tokens (B, T) as (B, Q + T, D); one of both may be missing."""
        if input_ids is None:
            if query_embeds is None:
                raise ValueError("Give input_ids, query_embeds or both; got neither.")
            return query_embeds
        tokens = self.word_embeddings(input_ids)
        if self.absolute:
            if position_ids is None:
                position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)
            tokens = tokens + self.position_embeddings(position_ids)
        if query_embeds is None:
            return tokens
        return torch.cat((query_embeds.to(tokens.dtype), tokens), 1)


class NormedEmbeddings(TokenEmbeddings):
    """With the norm that follows."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """As without the norm."""
        return self.dropout(self.layernorm(super().forward(*args, **kwargs)))


class InstructedQFormer(QFormer):
    """Reads a picture as an instruction asks: the text stands beside the queries."""

    main_input_name = "input_ids"
    input_embeddings = "embeddings.word_embeddings"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = NormedEmbeddings(config)
        self.encoder = QFormerEncoder(config)
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        query_embeds: Tensor | None = None,
        head_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Hidden states (B, Q + T, D) of queries (B, Q, D) and tokens (B, T), and the first of them
        (B, D)."""
        states = self.embeddings(input_ids, position_ids, query_embeds)
        queries = 0 if query_embeds is None else query_embeds.shape[1]
        return self.read(
            states,
            queries,
            attention_mask,
            head_mask,
            encoder_hidden_states,
            encoder_attention_mask,
            recorder,
        )
