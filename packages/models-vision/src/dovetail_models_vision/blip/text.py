"""BLIP's text encoder and decoder: BERT without segments, whose layers may attend to pictures.

One class is both: whether attention is causal is said in the call. B batch, T tokens, S tokens of a
picture, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache, EncoderDecoderCache
from dovetail.generation import GenerationMixin
from dovetail.layers.projections import Linear
from dovetail.losses import IGNORED
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
)
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_text.bert.modeling import (
    BertAttention,
    BertLayer,
    BertPooler,
    BertPredictionHeadTransform,
    BertSelfAttention,
)
from dovetail_models_vision.blip.configuration import BlipTextConfig


class BlipTextEmbeddings(nn.Module):
    """Tokens with their positions."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.LayerNorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, tokens: Tensor, position_ids: Tensor) -> Tensor:
        return self.dropout(self.LayerNorm(tokens + self.position_embeddings(position_ids)))


class BlipTextSelfAttention(BertSelfAttention):
    """Attention within the text, or from the text to a picture of another width."""

    config: Any

    def source_width(self) -> int:
        return self.config.encoder_hidden_size if self.cross else self.config.hidden_size


class BlipTextAttention(BertAttention):
    """BERT's."""

    attention_class: ClassVar[type[BertSelfAttention]] = BlipTextSelfAttention


class BlipTextLayer(BertLayer):
    """BERT's, which attends to a picture where there is one."""

    attention_class: ClassVar[type[nn.Module]] = BlipTextAttention

    def reads_encoder(self, config: Any, layer_idx: int) -> bool:
        return config.is_decoder


class BlipTextEncoder(nn.Module):
    """Holds the layers under the checkpoint's name."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            BlipTextLayer(config, index) for index in range(config.num_hidden_layers)
        )


class BlipTextPreTrainedModel(PreTrainedModel):
    """Base of encoder and decoder."""

    config_class = BlipTextConfig
    base_model_prefix = "bert"
    input_embeddings = "embeddings.word_embeddings"
    output_embeddings = "cls.predictions.decoder"
    _no_split_modules: ClassVar[list[str]] = ["BlipTextEmbeddings", "BlipTextLayer"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"embeddings\.position_ids"]


class BlipTextModel(BlipTextPreTrainedModel):
    """Encoder or decoder of text, with a pooler unless `add_pooling_layer` is False."""

    def __init__(self, config: BlipTextConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = BlipTextEmbeddings(config)
        self.encoder = BlipTextEncoder(config)
        self.pooler = BertPooler(config) if add_pooling_layer else None  # type: ignore[arg-type]
        self.post_init()

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        for layer, heads in heads_to_prune.items():
            self.encoder.layer[layer].attention.prune_heads(heads)  # type: ignore[operator, union-attr]

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        is_decoder: bool | None = False,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Hidden states (B, T, D) and the pooled first token (B, D), after attending to a picture's
        states (B, S, D) where these are given.

        `is_decoder` lets each token see only those before it; `encoder_embeds` are tokens which
        need no embedding any more.
        """
        ready = encoder_embeds is not None and input_ids is None and inputs_embeds is None
        tokens: Any = encoder_embeds if ready else self.embed(input_ids, inputs_embeds)
        check_reads_pictures(self.config, encoder_hidden_states)
        shared: dict[str, Any] = {
            "position_ids": position_ids,
            "head_mask": head_mask,
            "recorder": recorder,
        }
        if is_decoder:
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
            context.reading(tokens, encoder_hidden_states, encoder_attention_mask)
        states = tokens if ready else self.embeddings(tokens, context.position_ids)
        states = self.run_layers(self.encoder.layer, states, context)
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=states,
            pooler_output=None if self.pooler is None else self.pooler(states),
            past_key_values=context.next_cache,
        )


def check_reads_pictures(config: Any, encoder_hidden_states: Tensor | None) -> None:
    """Refuse states of pictures where no layer can attend to them."""
    if encoder_hidden_states is not None and not config.is_decoder:
        raise ValueError(
            "encoder_hidden_states are given, but config.is_decoder=False: the layers have no "
            "attention to pictures."
        )


class BlipTextPredictions(nn.Module):
    """Logits over the vocabulary."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.transform = BertPredictionHeadTransform(config)
        self.decoder = Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.decoder(self.transform(hidden_states))


class BlipTextHead(nn.Module):
    """Holds the predictions under the checkpoint's name."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.predictions = BlipTextPredictions(config)


class BlipTextLMHeadModel(BlipTextPreTrainedModel, GenerationMixin):
    """The decoder with next-token logits, whose weights are its own and not the embedding's."""

    _shared_weights_keys: ClassVar[dict[str, str]] = {
        "cls.predictions.decoder.bias": "cls.predictions.bias"
    }

    def __init__(self, config: BlipTextConfig) -> None:
        super().__init__(config)
        self.bert = BlipTextModel(config, add_pooling_layer=False)
        self.cls = BlipTextHead(config)
        self.post_init()

    def _after_resize(self, size: int) -> None:
        self.cls.predictions.bias = self.cls.predictions.decoder.bias

    def _prepare_cache(self, generation_config: Any, rows: int, max_length: int) -> Any:
        """With room for what is made of the picture, once for all tokens."""
        own = super()._prepare_cache(generation_config, rows, max_length)
        return EncoderDecoderCache(own)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        return_logits: bool | None = False,
        is_decoder: bool | None = True,
        reduction: str = "mean",
        cache_position: Tensor | None = None,
        **recording: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        """Logits (B, T, V) and, with `labels` (B, T), the loss: ``"mean"`` over tokens or, with the
        `reduction` ``"none"``, the sum of each text (B,)."""
        outputs = self.bert(
            input_ids,
            attention_mask,
            position_ids=position_ids,
            head_mask=head_mask,
            inputs_embeds=inputs_embeds,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            past_key_values=past_key_values,
            use_cache=False if labels is not None else use_cache,
            is_decoder=is_decoder,
            cache_position=cache_position,
            return_dict=True,
            **recording,
        )
        logits = self.cls.predictions(outputs.last_hidden_state)
        return CausalLMOutputWithCrossAttentions(
            loss=None if labels is None else self.loss(logits, labels, reduction),
            logits=logits,
            past_key_values=outputs.get("past_key_values"),
            hidden_states=outputs.get("hidden_states"),
            attentions=outputs.get("attentions"),
            cross_attentions=outputs.get("cross_attentions"),
        )

    def loss(self, logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
        """Cross-entropy of `logits` (B, T, V) with the next of `labels` (B, T), smoothed."""
        losses = F.cross_entropy(
            logits[:, :-1].reshape(-1, logits.shape[-1]),
            labels[:, 1:].reshape(-1).to(logits.device),
            ignore_index=IGNORED,
            label_smoothing=self.config.label_smoothing,
            reduction=reduction,
        )
        return losses.view(len(logits), -1).sum(1) if reduction == "none" else losses
