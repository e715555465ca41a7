"""BERT: the bidirectional encoder (arXiv 1810.04805); as a decoder it attends causally and may read
an encoder.

Post-norm blocks, learned absolute positions, or distances between tokens (arXiv 1803.02155,
2009.13658) in their place. B batch, T query length, S key length, D width, H heads, E head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache
from dovetail.context import Context
from dovetail.heads import (
    STATES,
    ForCausalLM,
    ForMaskedLM,
    ForMultipleChoice,
    ForNextSentencePrediction,
    ForQuestionAnswering,
    ForTokenClassification,
    PooledClassification,
    TaskHead,
)
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear
from dovetail.layers.pruning import HeadPruning
from dovetail.losses import language_modeling_loss
from dovetail.modeling import INPUT_EMBEDDINGS, PreTrainedModel
from dovetail.outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    ModelOutput,
    Tensors,
)
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_text.bert.configuration import BertConfig


class BertEmbeddings(nn.Module):
    """Sum of token, segment and (absolute) position embeddings."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.absolute = config.position_embedding_type == "absolute"

    def forward(
        self, tokens: Tensor, token_type_ids: Tensor | None, position_ids: Tensor
    ) -> Tensor:
        if token_type_ids is None:
            token_type_ids = torch.zeros(tokens.shape[:2], dtype=torch.long, device=tokens.device)
        embeddings = tokens + self.token_type_embeddings(token_type_ids)
        if self.absolute:
            embeddings = embeddings + self.position_embeddings(position_ids)
        return self.dropout(self.LayerNorm(embeddings))


class BertSelfAttention(nn.Module):
    """Attention within the text, or from the text to an encoder (`cross`)."""

    def __init__(self, config: BertConfig, layer_idx: int, cross: bool = False) -> None:
        super().__init__()
        self.config, self.layer_idx, self.cross = config, layer_idx, cross
        self.head_dim = config.hidden_size // config.num_attention_heads
        width, source = config.hidden_size, self.source_width()
        self.query = Linear(width, width)
        self.key, self.value = (Linear(source, width) for _ in range(2))
        self.relative = "absolute" if cross else config.position_embedding_type
        if self.relative != "absolute":
            self.distance_embedding = nn.Embedding(
                2 * config.max_position_embeddings - 1, self.head_dim
            )

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query = split_heads(self.query(hidden_states), self.head_dim)
        key, value = context.keys_and_values(
            self.project, hidden_states, self.layer_idx, self.cross
        )
        return context.attend(
            query,
            key,
            value,
            self.layer_idx,
            bias=None if self.relative == "absolute" else self.distance_bias(query, key),
            dropout=self.config.attention_probs_dropout_prob * self.training,
            cross=self.cross,
        )

    def source_width(self) -> int:
        """Width of what keys and values are made of."""
        return self.config.hidden_size

    def project(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, S, E) of `states` (B, S, D)."""
        width = self.head_dim
        return split_heads(self.key(states), width), split_heads(self.value(states), width)

    def distance_bias(self, query: Tensor, key: Tensor) -> Tensor:
        """Scores (B, H, T, S) of how far apart tokens are, as seen by the query and, if so
        configured, by the key."""
        length, keys = query.shape[2], key.shape[2]
        positions = torch.arange(keys, device=query.device)
        distance = positions[keys - length :, None] - positions[None, :]
        embedded = self.distance_embedding(
            distance + self.config.max_position_embeddings - 1
        )  # (T, S, E)
        scores = torch.einsum("bhte,tse->bhts", query, embedded)
        if self.relative == "relative_key_query":
            scores = scores + torch.einsum("bhse,tse->bhts", key, embedded)
        return scores * self.head_dim**-0.5


class BertOutput(nn.Module):
    """Projection back to the residual stream, then the norm."""

    def __init__(self, config: BertConfig, size: int) -> None:
        super().__init__()
        self.dense = Linear(size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(hidden_states)) + residual)


class BertAttention(HeadPruning):
    """Attention with its output projection; relatives replace `attention_class`."""

    attention_class: ClassVar[type[BertSelfAttention]] = BertSelfAttention

    def __init__(self, config: BertConfig, layer_idx: int, cross: bool = False) -> None:
        super().__init__(config.num_attention_heads)
        self.self = self.attention_class(config, layer_idx, cross)
        self.output = BertOutput(config, config.hidden_size)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        return self.output(self.self(hidden_states, context), hidden_states)

    def prune_heads(self, heads: list[int]) -> None:
        """Remove `heads`, numbered as before any pruning."""
        self.prune(
            heads, self.self, ("query", "key", "value"), self.output, "dense", self.self.head_dim
        )


class BertIntermediate(nn.Module):
    """The first half of the MLP."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.intermediate_size)
        self.intermediate_act_fn = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.intermediate_act_fn(self.dense(hidden_states))


class BertLayer(nn.Module):
    """Attention, attention to the encoder if there is one, MLP; relatives replace
    `attention_class` and say which layers attend to an encoder."""

    attention_class: ClassVar[type[nn.Module]] = BertAttention

    def __init__(self, config: BertConfig, layer_idx: int) -> None:
        super().__init__()
        self.attention = self.attention_class(config, layer_idx)
        if self.reads_encoder(config, layer_idx):
            self.crossattention = self.attention_class(config, layer_idx, cross=True)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(config, config.intermediate_size)

    def reads_encoder(self, config: BertConfig, layer_idx: int) -> bool:
        """Whether the layer has attention to an encoder."""
        return config.add_cross_attention

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = self.attention(hidden_states, context)
        if context.encoder_hidden_states is not None:
            hidden_states = self.crossattention(hidden_states, context)
        return self.output(self.intermediate(hidden_states), hidden_states)


class BertEncoder(nn.Module):
    """Holds the layers under the checkpoint's name."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            BertLayer(config, index) for index in range(config.num_hidden_layers)
        )


class BertPooler(nn.Module):
    """A dense layer over the first token."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return torch.tanh(self.dense(hidden_states[:, 0]))


class BertPreTrainedModel(PreTrainedModel):
    config_class = BertConfig
    base_model_prefix = "bert"
    input_embeddings = "embeddings.word_embeddings"
    output_embeddings = "cls.predictions.decoder"
    _no_split_modules: ClassVar[list[str]] = ["BertEmbeddings", "BertLayer"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        r"embeddings\.position_ids",
        r"pooler",
    ]


class BertModel(BertPreTrainedModel):
    """The encoder, or with ``config.is_decoder`` the decoder, and a pooler unless
    `add_pooling_layer` is False."""

    embeddings_class: ClassVar[type[BertEmbeddings]] = BertEmbeddings

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = self.embeddings_class(config)
        self.encoder = BertEncoder(config)
        self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        for layer, heads in heads_to_prune.items():
            self.encoder.layer[layer].attention.prune_heads(heads)

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Hidden states (B, T, D) and the pooled first token (B, D)."""
        tokens = self.embed(input_ids, inputs_embeds)
        shared: dict[str, Any] = {
            "position_ids": position_ids,
            "head_mask": head_mask,
            "recorder": recorder,
        }
        if self.config.is_decoder:
            context = self.decoder_context(
                tokens,
                attention_mask,
                past_key_values=past_key_values,
                use_cache=use_cache,
                cache_position=cache_position,
                encoder_hidden_states=encoder_hidden_states,
                encoder_attention_mask=encoder_attention_mask,
                **shared,
            )
        else:
            context = self.encoder_context(tokens, attention_mask, **shared)
        hidden_states = self.embeddings(tokens, token_type_ids, context.position_ids)
        hidden_states = self.run_layers(self.encoder.layer, hidden_states, context)
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=hidden_states,
            pooler_output=None if self.pooler is None else self.pooler(hidden_states),
            past_key_values=context.next_cache,
        )


class BertPredictionHeadTransform(nn.Module):
    """Dense layer, activation and norm before the vocabulary."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.transform_act_fn = activation(config.hidden_act)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.LayerNorm(self.transform_act_fn(self.dense(hidden_states)))


class BertLMPredictionHead(nn.Module):
    """Logits over the vocabulary."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = BertPredictionHeadTransform(config)
        self.decoder = Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.decoder(self.transform(hidden_states))


class BertHeads(nn.Module):
    """What follows the body in pre-training: token predictions, whether two sentences follow each
    other, or both."""

    def __init__(
        self, config: BertConfig, predictions: bool = True, next_sentence: bool = False
    ) -> None:
        super().__init__()
        if predictions:
            self.predictions = BertLMPredictionHead(config)
        if next_sentence:
            self.seq_relationship = Linear(config.hidden_size, 2)


class BertForTokens(TaskHead, BertPreTrainedModel):
    """Base of the models that predict tokens: the decoder's weight is the embedding, its bias a
    parameter of the head."""

    body_class = BertModel
    body_options: ClassVar[dict[str, Any]] = {"add_pooling_layer": False}
    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "cls.predictions.decoder.weight": INPUT_EMBEDDINGS
    }
    _shared_weights_keys: ClassVar[dict[str, str]] = {
        "cls.predictions.decoder.bias": "cls.predictions.bias"
    }

    def build_head(self) -> None:
        self.cls = BertHeads(self.config)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Token logits of `hidden_states` (B, T, D)."""
        return self.cls.predictions(hidden_states)

    def _after_resize(self, size: int) -> None:
        self.cls.predictions.bias = self.cls.predictions.decoder.bias


class BertForMaskedLM(BertForTokens, ForMaskedLM):
    """Prediction of masked tokens."""


class BertLMHeadModel(BertForTokens, ForCausalLM):
    """Left-to-right language modelling; set ``config.is_decoder``."""

    def forward(self, *args: Any, labels: Tensor | None = None, **kwargs: Any) -> Any:
        if labels is not None:
            kwargs["use_cache"] = False
        return super().forward(*args, labels=labels, **kwargs)


@dataclass
class BertForPreTrainingOutput(ModelOutput):
    """Both pre-training losses added, and both logits (B, T, V) and (B, 2)."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class BertForPreTraining(BertForTokens):
    body_options: ClassVar[dict[str, Any]] = {}

    def build_head(self) -> None:
        self.cls = BertHeads(self.config, next_sentence=True)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        **kwargs: Any,
    ) -> BertForPreTrainingOutput:
        """Masked-token logits and next-sentence logits; the loss when both kinds of label are
        given."""
        outputs = self.bert(input_ids, attention_mask, return_dict=True, **kwargs)
        tokens = self.cls.predictions(outputs.last_hidden_state)
        following = self.cls.seq_relationship(outputs.pooler_output)
        loss = None
        if labels is not None and next_sentence_label is not None:
            loss = language_modeling_loss(tokens, labels, shift=False)
            loss = loss + F.cross_entropy(following, next_sentence_label.view(-1))
        return BertForPreTrainingOutput(
            loss=loss,
            prediction_logits=tokens,
            seq_relationship_logits=following,
            **self.recorded(outputs, STATES),
        )


class BertForNextSentencePrediction(ForNextSentencePrediction, BertPreTrainedModel):
    """Whether the second sentence follows the first."""

    body_class = BertModel

    def build_head(self) -> None:
        self.cls = BertHeads(self.config, predictions=False, next_sentence=True)

    def logits(self, pooled: Tensor) -> Tensor:
        """Logits (B, 2) of the pooled text."""
        return self.cls.seq_relationship(pooled)


class BertForSequenceClassification(PooledClassification, BertPreTrainedModel):
    body_class = BertModel


class BertForMultipleChoice(ForMultipleChoice, BertPreTrainedModel):
    body_class = BertModel


class BertForTokenClassification(ForTokenClassification, BertPreTrainedModel):
    body_class = BertModel
    body_options: ClassVar[dict[str, Any]] = {"add_pooling_layer": False}
    classifier_name = "classifier"


class BertForQuestionAnswering(ForQuestionAnswering, BertPreTrainedModel):
    body_class = BertModel
    body_options: ClassVar[dict[str, Any]] = {"add_pooling_layer": False}
