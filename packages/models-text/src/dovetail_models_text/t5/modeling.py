"""T5: the text-to-text encoder-decoder (arXiv 1910.10683; 1.1: gated MLP, untied head).

Pre-norm blocks with RMS norms and no biases; positions enter as a learned bias per bucket of
distances, owned by the first block of each stack; scores are not scaled. B batch, T query length, S
key length, D width, H heads, E head width, V vocabulary.
"""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.caches import Cache
from dovetail.context import Context
from dovetail.heads import ForTokenClassification, TaskHead
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.layers.pruning import HeadPruning
from dovetail.layers.residual import within_range
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
)
from dovetail.recording import Recorder, backbone
from dovetail.seq2seq import (
    EncoderDecoderModel,
    ForConditionalGeneration,
    Seq2SeqBody,
    Seq2SeqQuestionAnswering,
    Seq2SeqSequenceClassification,
)
from dovetail_models_text.t5.configuration import T5Config


class T5Attention(HeadPruning):
    """Unscaled attention; the first of a stack also holds the stack's position bias."""

    def __init__(self, config: T5Config, layer_idx: int, cross: bool = False) -> None:
        super().__init__(config.num_heads)
        self.config, self.layer_idx, self.cross = config, layer_idx, cross
        inner = config.num_heads * config.d_kv
        self.q = Linear(config.d_model, inner, bias=False)
        self.k = Linear(config.d_model, inner, bias=False)
        self.v = Linear(config.d_model, inner, bias=False)
        self.o = Linear(inner, config.d_model, bias=False)
        if layer_idx == 0 and not cross:
            self.relative_attention_bias = nn.Embedding(
                config.relative_attention_num_buckets, config.num_heads
            )

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query = split_heads(self.q(hidden_states), self.config.d_kv)
        key, value = context.keys_and_values(
            self.project, hidden_states, self.layer_idx, self.cross
        )
        bias = None if self.cross else context.bias
        if bias is not None and self.pruned_heads:
            bias = bias[:, self.present_heads]
        output = context.attend(
            query,
            key,
            value,
            self.layer_idx,
            scale=1.0,
            dropout=self.config.dropout_rate * self.training,
            bias=bias,
            cross=self.cross,
        )
        return self.o(output)

    def project(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, S, E) of `states` (B, S, D)."""
        width = self.config.d_kv
        return split_heads(self.k(states), width), split_heads(self.v(states), width)

    def position_bias(self, positions: Tensor, key_length: int) -> Tensor:
        """Bias (1, H, T, S) of queries at `positions` (T,) towards `key_length` keys."""
        distance = torch.arange(key_length, device=positions.device)[None, :] - positions[:, None]
        return self.relative_attention_bias(self.bucket(distance)).permute(2, 0, 1)[None]

    def bucket(self, distance: Tensor) -> Tensor:
        """Number of the bucket of each signed distance: exact when near, logarithmic when far, one
        for all beyond."""
        buckets, bucket = self.config.relative_attention_num_buckets, torch.zeros_like(distance)
        if self.config.is_decoder:
            distance = (-distance).clamp(min=0)
        else:
            buckets //= 2
            bucket, distance = (distance > 0).long() * buckets, distance.abs()
        exact = buckets // 2
        stretch = math.log(self.config.relative_attention_max_distance / exact)
        far = (
            exact
            + (
                torch.log(distance.float().clamp(min=1) / exact) / stretch * (buckets - exact)
            ).long()
        )
        return bucket + torch.where(distance < exact, distance, far.clamp(max=buckets - 1))

    def prune_heads(self, heads: list[int]) -> None:
        """Remove `heads`, numbered as before any pruning."""
        self.prune(heads, self, ("q", "k", "v"), self, "o", self.config.d_kv)


class T5DenseReluDense(nn.Module):
    """The MLP, with one input projection (``wi``) or, when gated, two (``wi_0``, ``wi_1``)."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.gated = config.is_gated_act
        for name in ("wi_0", "wi_1") if self.gated else ("wi",):
            setattr(self, name, Linear(config.d_model, config.d_ff, bias=False))
        self.wo = Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.act = activation(config.dense_act_fn)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.act(self.wi_0(x)) * self.wi_1(x) if self.gated else self.act(self.wi(x))
        return self.wo(self.dropout(inner).to(self.wo.weight.dtype)).to(x.dtype)


class T5Sublayer(nn.Module):
    """``x + dropout(f(norm(x)))``, where f is stored under the checkpoint's name for it."""

    def __init__(self, config: T5Config, name: str, function: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, function)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states: Tensor, *context: Context) -> Tensor:
        change = getattr(self, self.name)(self.layer_norm(hidden_states), *context)
        return within_range(hidden_states + self.dropout(change))


class T5Block(nn.Module):
    """Attention, in a decoder attention to the encoder, MLP."""

    def __init__(self, config: T5Config, layer_idx: int) -> None:
        super().__init__()
        sublayers = [T5Sublayer(config, "SelfAttention", T5Attention(config, layer_idx))]
        if config.is_decoder:
            sublayers.append(
                T5Sublayer(config, "EncDecAttention", T5Attention(config, layer_idx, cross=True))
            )
        sublayers.append(T5Sublayer(config, "DenseReluDense", T5DenseReluDense(config)))
        self.layer = nn.ModuleList(sublayers)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = self.layer[0](hidden_states, context)
        if context.encoder_hidden_states is not None:
            hidden_states = self.layer[1](hidden_states, context)
        return self.layer[-1](hidden_states)


class T5PreTrainedModel(PreTrainedModel):
    config_class = T5Config
    base_model_prefix = "transformer"
    input_embeddings = "shared"
    _no_split_modules: ClassVar[list[str]] = ["T5Block"]
    _keep_in_fp32_modules: ClassVar[list[str]] = ["wo"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"
    ]

    def _init_weights(self, module: nn.Module) -> None:
        """Mesh TensorFlow's initialisation: each projection by the width it reads."""
        config, factor = self.config, self.config.initializer_factor
        width, inner = config.d_model**-0.5, (config.num_heads * config.d_kv) ** -0.5
        if isinstance(module, T5Attention):
            deviations = {"q": width * config.d_kv**-0.5, "k": width, "v": width, "o": inner}
            deviations["relative_attention_bias"] = width
        elif isinstance(module, T5DenseReluDense):
            deviations = {"wi": width, "wi_0": width, "wi_1": width, "wo": config.d_ff**-0.5}
        elif isinstance(module, RMSNorm):
            module.weight.data.fill_(factor)
            return
        else:
            deviations = {
                "shared": 1.0,
                "lm_head": 1.0,
                "dense": width,
                "out_proj": width,
                "classifier": 1.0,
            }
            deviations["qa_outputs"] = width
        for name, deviation in deviations.items():
            child = getattr(module, name, None)
            if isinstance(child, nn.Linear | nn.Embedding):
                child.weight.data.normal_(mean=0.0, std=factor * deviation)
                if getattr(child, "bias", None) is not None:
                    child.bias.data.zero_()  # type: ignore[union-attr, operator]


class T5Stack(T5PreTrainedModel):
    """Encoder or, with ``config.is_decoder``, decoder."""

    input_embeddings = "embed_tokens"

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.block = nn.ModuleList(T5Block(config, index) for index in range(config.num_layers))
        self.final_layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.post_init()

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        for layer, heads in heads_to_prune.items():
            self.block[layer].layer[0].SelfAttention.prune_heads(heads)

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        head_mask: Tensor | None = None,
        cross_attn_head_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Hidden states (B, T, D) of the tokens."""
        hidden_states = self.embed(input_ids, inputs_embeds)
        if self.config.is_decoder:
            context = self.decoder_context(
                hidden_states,
                attention_mask,
                past_key_values=past_key_values,
                use_cache=use_cache,
                cache_position=cache_position,
                recorder=recorder,
                head_mask=head_mask,
                encoder_hidden_states=encoder_hidden_states,
                encoder_attention_mask=encoder_attention_mask,
                cross_head_mask=cross_attn_head_mask,
            )
        else:
            context = self.encoder_context(
                hidden_states, attention_mask, head_mask=head_mask, recorder=recorder
            )
        length = hidden_states.shape[1]
        keys = length if context.cache is None else context.cache.key_length(length)
        first = self.block[0].layer[0].SelfAttention
        context.bias = first.position_bias(context.positions, keys)
        hidden_states = self.run_layers(self.block, self.dropout(hidden_states), context)
        hidden_states = self.dropout(self.final_layer_norm(hidden_states))
        return BaseModelOutputWithPastAndCrossAttentions(hidden_states, context.next_cache)


class T5EncoderDecoder(T5PreTrainedModel, EncoderDecoderModel):
    """Base of the models with both stacks, which share one embedding."""

    shares_head_mask = True
    _shared_weights_keys: ClassVar[dict[str, str]] = {
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    }

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(_stack_config(config, is_decoder=False))
        self.decoder = T5Stack(_stack_config(config, is_decoder=True))
        self.build_head()
        self.post_init()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the shared embedding and both stacks' copies."""
        self.shared = self.encoder.embed_tokens = self.decoder.embed_tokens = value

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        self.encoder._prune_heads(heads_to_prune)


def _stack_config(config: T5Config, is_decoder: bool) -> T5Config:
    stack = copy.deepcopy(config)
    stack.is_decoder, stack.is_encoder_decoder = is_decoder, False
    stack.use_cache = config.use_cache and is_decoder
    stack.tie_word_embeddings = False
    stack.pruned_heads = {}  # the whole model prunes its encoder
    if is_decoder:
        stack.num_layers = config.num_decoder_layers
    return stack


class T5Model(Seq2SeqBody, T5EncoderDecoder):
    """Encoder and decoder without a head."""


class T5ForConditionalGeneration(ForConditionalGeneration, T5EncoderDecoder):
    """Text to text; an embedding that doubles as output layer is scaled back by the width."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "shared.weight"}

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Token logits of `hidden_states` (B, T, D)."""
        if self.config.tie_word_embeddings:  # Mesh TensorFlow's convention
            hidden_states = hidden_states * self.config.d_model**-0.5
        return self.lm_head(hidden_states)


class T5ForQuestionAnswering(Seq2SeqQuestionAnswering, T5EncoderDecoder):
    """Where in the text an answer starts and ends."""


class T5ForSequenceClassification(Seq2SeqSequenceClassification, TaskHead, T5PreTrainedModel):
    """Classifies by the decoder's state at the last end token of the text."""

    body_class = T5Model
    shares_head_mask = True


class T5EncoderModel(T5PreTrainedModel):
    """The encoder alone."""

    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = ["decoder"]
    _shared_weights_keys: ClassVar[dict[str, str]] = {
        "encoder.embed_tokens.weight": "shared.weight"
    }

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(_stack_config(config, is_decoder=False))
        self.post_init()

    def get_encoder(self) -> T5Stack:
        """The encoder."""
        return self.encoder

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding and the encoder's copy."""
        self.shared = self.encoder.embed_tokens = value

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        self.encoder._prune_heads(heads_to_prune)

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutput:
        """Hidden states (B, T, D)."""
        return self.encoder(input_ids, attention_mask, **kwargs)


class T5ForTokenClassification(ForTokenClassification, T5PreTrainedModel):
    """One label per token, from the encoder."""

    body_class = T5EncoderModel
    classifier_name = "classifier"
