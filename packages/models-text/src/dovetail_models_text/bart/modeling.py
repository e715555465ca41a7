"""BART: the denoising encoder-decoder (arXiv 1910.13461), and the blocks of its many relatives.

Post-norm blocks and learned positions; `BartConfig` holds constants by which relatives differ. B
batch, T query length, S key length, D width, H heads, E head width, V vocabulary.
"""

from __future__ import annotations

import copy
from functools import wraps
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache
from dovetail.context import Context
from dovetail.heads import ForCausalLM, TaskHead
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.embeddings import OffsetEmbedding, ScaledEmbedding, SinusoidalEmbedding
from dovetail.layers.projections import Linear
from dovetail.layers.residual import within_range
from dovetail.modeling import INPUT_EMBEDDINGS, PreTrainedModel
from dovetail.outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions
from dovetail.recording import Recorder, backbone
from dovetail.seq2seq import (
    EncoderDecoderModel,
    ForConditionalGeneration,
    Seq2SeqBody,
    Seq2SeqQuestionAnswering,
    Seq2SeqSequenceClassification,
)
from dovetail_models_text.bart.configuration import BartConfig

COMPUTED = ["final_logits_bias", r"embed_positions\.weight"]
"""What checkpoints of relatives with fixed positions may lack."""


class BartAttention(nn.Module):
    """Attention within the text, or from the text to an encoder (`cross`)."""

    def __init__(self, config: Any, heads: int, layer_idx: int, cross: bool = False) -> None:
        super().__init__()
        self.config, self.layer_idx, self.cross = config, layer_idx, cross
        self.head_dim = config.d_model // heads
        self.k_proj = Linear(config.d_model, config.d_model, bias=config.enable_bias)
        self.v_proj = Linear(config.d_model, config.d_model, bias=config.enable_bias)
        self.q_proj = Linear(config.d_model, config.d_model, bias=config.enable_bias)
        self.out_proj = Linear(config.d_model, config.d_model, bias=config.enable_bias)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query = split_heads(self.q_proj(hidden_states), self.head_dim)
        key, value = context.keys_and_values(
            self.project, hidden_states, self.layer_idx, self.cross
        )
        dropout = self.config.attention_dropout * self.training
        return self.out_proj(
            context.attend(query, key, value, self.layer_idx, dropout=dropout, cross=self.cross)
        )

    def project(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, S, E) of `states` (B, S, D)."""
        width = self.head_dim
        return split_heads(self.k_proj(states), width), split_heads(self.v_proj(states), width)


class BartLayer(nn.Module):
    """Attention, where `cross` (by default in a `decoder`) attention to the encoder, MLP."""

    attention_class: ClassVar[type[BartAttention]] = BartAttention

    def __init__(
        self, config: Any, layer_idx: int, decoder: bool, cross: bool | None = None
    ) -> None:
        super().__init__()
        self.config, self.decoder = config, decoder
        self.cross = decoder if cross is None else cross
        heads = config.decoder_attention_heads if decoder else config.encoder_attention_heads
        size = config.decoder_ffn_dim if decoder else config.encoder_ffn_dim
        self.self_attn = self.attention_class(config, heads, layer_idx)
        self.self_attn_layer_norm = self.make_norm(config)
        if self.cross:
            self.encoder_attn = self.attention_class(config, heads, layer_idx, cross=True)
            self.encoder_attn_layer_norm = self.make_norm(config)
        self.fc1 = Linear(config.d_model, size, bias=config.enable_bias)
        self.fc2 = Linear(size, config.d_model, bias=config.enable_bias)
        self.final_layer_norm = self.make_norm(config)
        self.activation_fn = activation(config.activation_function)

    @staticmethod
    def make_norm(config: Any) -> nn.Module:
        """A norm over the width of the model."""
        affine = config.layer_norm_elementwise_affine
        return nn.LayerNorm(config.d_model, elementwise_affine=affine)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = self.add(self.self_attn, self.self_attn_layer_norm, hidden_states, context)
        if self.cross and context.encoder_hidden_states is not None:
            norm = self.encoder_attn_layer_norm
            hidden_states = self.add(self.encoder_attn, norm, hidden_states, context)
        hidden_states = self.add(self.mlp, self.final_layer_norm, hidden_states)
        return hidden_states if self.decoder else within_range(hidden_states)

    def add(self, function: Any, norm: nn.Module, hidden_states: Tensor, *context: Any) -> Tensor:
        """`hidden_states` plus `function` of them, normalised before or after."""
        pre_norm = self.config.pre_norm
        change = function(norm(hidden_states) if pre_norm else hidden_states, *context)
        hidden_states = hidden_states + F.dropout(change, self.config.dropout, self.training)
        return hidden_states if pre_norm else norm(hidden_states)

    def mlp(self, hidden_states: Tensor) -> Tensor:
        """Two projections around an activation."""
        inner = self.activation_fn(self.fc1(hidden_states))
        return self.fc2(F.dropout(inner, self.config.activation_dropout, self.training))


class BartPreTrainedModel(PreTrainedModel):
    config_class = BartConfig
    base_model_prefix = "model"
    input_embeddings = "shared"
    _no_split_modules: ClassVar[list[str]] = ["BartLayer"]
    _keys_to_ignore_on_load_missing: ClassVar[list[str]] = ["final_logits_bias"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"(en|de)coder\.version"]

    def _init_weights(self, module: nn.Module) -> None:
        initialise(module, self.config.init_std)


def initialise(module: nn.Module, std: float) -> None:
    """Fill one module's own parameters: weights of deviation `std`, biases of zero."""
    if isinstance(module, nn.Linear | nn.Embedding):
        module.weight.data.normal_(mean=0.0, std=std)
        if getattr(module, "bias", None) is not None:
            module.bias.data.zero_()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            module.weight.data[module.padding_idx].zero_()


def token_embedding(config: BartConfig, size: int | None = None) -> ScaledEmbedding:
    """The embedding of `size` tokens, by default of the vocabulary."""
    scale = config.d_model**0.5 if config.scale_embedding else 1.0
    size = config.vocab_size if size is None else size
    return ScaledEmbedding(size, config.d_model, config.pad_token_id, scale=scale)


def position_embedding(config: BartConfig) -> nn.Module:
    """The embedding of positions that ``config.positions`` names."""
    positions, width = config.max_position_embeddings, config.d_model
    if config.positions == "learned":
        return OffsetEmbedding(positions, width)
    if config.positions == "sinusoidal":
        return SinusoidalEmbedding(positions, width)
    return SinusoidalEmbedding(
        positions + 2,
        width,
        closed=True,
        blank=config.pad_token_id,
        name="weights",
        persistent=False,
    )


class BartStack(BartPreTrainedModel):
    """What encoder and decoder share: embeddings, blocks, norms."""

    input_embeddings = "embed_tokens"

    def __init__(self, config: BartConfig, decoder: bool) -> None:
        super().__init__(config)
        layers = config.decoder_layers if decoder else config.encoder_layers
        self.layer_drop = config.decoder_layerdrop if decoder else config.encoder_layerdrop
        self.embed_tokens = token_embedding(config, self.vocabulary(config, decoder))
        self.embed_positions = position_embedding(config)
        self.layers = nn.ModuleList(BartLayer(config, index, decoder) for index in range(layers))
        if config.embedding_norm:
            self.layernorm_embedding = nn.LayerNorm(config.d_model)
        if config.pre_norm:
            self.layer_norm = nn.LayerNorm(config.d_model)
        self.post_init()

    @staticmethod
    def vocabulary(config: BartConfig, decoder: bool) -> int:
        """How many tokens the stack reads."""
        size = getattr(config, "decoder_vocab_size", None) if decoder else None
        return size or config.vocab_size

    def read(self, tokens: Tensor, input_ids: Tensor | None, context: Context) -> Tensor:
        """Hidden states (B, T, D) of embedded `tokens`."""
        positions = context.position_ids
        if self.config.positions == "sinusoidal-unpadded":
            positions = unpadded_positions(input_ids, positions, self.config.pad_token_id)
        hidden_states = tokens + self.embed_positions(positions)
        if self.config.embedding_norm:
            hidden_states = self.layernorm_embedding(hidden_states)
        hidden_states = F.dropout(hidden_states, self.config.dropout, self.training)
        hidden_states = self.run_layers(self.layers, hidden_states, context, self.layer_drop)
        return self.layer_norm(hidden_states) if self.config.pre_norm else hidden_states


def unpadded_positions(input_ids: Tensor | None, positions: Tensor, pad: int) -> Tensor:
    """Positions (B, T) that start behind the padding token's number and count real tokens only,
    after those that the first of `positions` (B, T) says there are."""
    if input_ids is None:
        return positions + pad + 1
    real = input_ids.ne(pad).long()
    return (real.cumsum(1) + positions[:, :1]) * real + pad


class BartEncoder(BartStack):
    """Reads a text at once."""

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config, decoder=False)

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutput:
        """Hidden states (B, T, D) of the tokens."""
        tokens = self.embed(input_ids, inputs_embeds)
        context = self.encoder_context(
            tokens, attention_mask, head_mask=head_mask, recorder=recorder
        )
        return BaseModelOutput(self.read(tokens, input_ids, context))


class BartDecoder(BartStack):
    """Reads from left to right and, if there is one, an encoder's states."""

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config, decoder=True)

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        cross_attn_head_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        position_ids: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Hidden states (B, T, D) of the tokens; `position_ids` (B, T) make left padding
        harmless."""
        tokens = self.embed(input_ids, inputs_embeds)
        context = self.decoder_context(
            tokens,
            attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            position_ids=position_ids,
            recorder=recorder,
            head_mask=head_mask,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            cross_head_mask=cross_attn_head_mask,
        )
        hidden_states = self.read(tokens, input_ids, context)
        return BaseModelOutputWithPastAndCrossAttentions(hidden_states, context.next_cache)


class BartEncoderDecoder(BartPreTrainedModel, EncoderDecoderModel):
    """Base of the models with both stacks."""

    decoder_repeats_text = True


class BartModel(Seq2SeqBody, BartEncoderDecoder):
    """Encoder and decoder without a head; they share one embedding."""

    _shared_weights_keys: ClassVar[dict[str, str]] = {
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    }

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config)
        self.shared = token_embedding(config)
        self.encoder = BartEncoder(config)
        self.decoder = BartDecoder(config)
        self.post_init()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the shared embedding and both stacks' copies."""
        self.shared = self.encoder.embed_tokens = self.decoder.embed_tokens = value


class BartForConditionalGeneration(ForConditionalGeneration, TaskHead, BartEncoderDecoder):
    """Text to text; a fixed bias may be added to the logits."""

    body_class = BartModel
    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": INPUT_EMBEDDINGS}
    final_logits_bias: Tensor

    def build_head(self) -> None:
        config = self.config
        size = getattr(config, "decoder_vocab_size", config.vocab_size)
        self.lm_head = Linear(config.d_model, size, bias=False)
        self.register_buffer("final_logits_bias", torch.zeros(1, size))

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Token logits of `hidden_states` (B, T, D)."""
        return self.lm_head(hidden_states) + self.final_logits_bias

    def forward(self, *args: Any, labels: Tensor | None = None, **kwargs: Any) -> Any:
        if labels is not None:
            kwargs["use_cache"] = False
        return super().forward(*args, labels=labels, **kwargs)

    def _after_resize(self, size: int) -> None:
        old = self.final_logits_bias
        self.final_logits_bias = F.pad(old, (0, size - old.shape[1]))


class BartForSequenceClassification(Seq2SeqSequenceClassification, TaskHead, BartEncoderDecoder):
    body_class = BartModel


class BartForQuestionAnswering(Seq2SeqQuestionAnswering, TaskHead, BartEncoderDecoder):
    body_class = BartModel


class BartDecoderWrapper(BartPreTrainedModel):
    """Holds a decoder under the name that it has in a whole model."""

    input_embeddings = "decoder.embed_tokens"

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config)
        self.decoder = BartDecoder(config)
        self.post_init()

    @wraps(BartDecoder.forward)
    def forward(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        return self.decoder(*args, **kwargs)


class BartForCausalLM(ForCausalLM, BartPreTrainedModel):
    """Left-to-right language modelling by the decoder alone; whoever gives labels shifts them."""

    body_class = BartDecoderWrapper
    shifts_labels = False

    def __init__(self, config: BartConfig) -> None:
        config = copy.deepcopy(config)
        config.is_decoder, config.is_encoder_decoder = True, False
        super().__init__(config)

    def get_decoder(self) -> BartDecoder:
        """The decoder."""
        return self.model.decoder  # type: ignore[return-value]
