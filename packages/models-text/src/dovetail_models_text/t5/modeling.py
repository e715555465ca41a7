"""T5: the text-to-text encoder-decoder (arXiv 1910.10683; 1.1: gated MLP, untied head).

Pre-norm blocks with RMS norms and no biases; positions enter as a learned bias per bucket of distances, owned by the first block of
each stack; scores are not scaled. B batch, T query length, S key length, D width, H heads, E head width, V vocabulary.
"""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache, EncoderDecoderCache
from dovetail.generation import GenerationMixin
from dovetail.heads import STATES
from dovetail.layers.activations import activation
from dovetail.layers.attention import attention
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.layers.pruning import HeadPruning
from dovetail.losses import (
    IGNORED,
    language_modeling_loss,
    question_answering_loss,
    sequence_classification_loss,
    token_classification_loss,
)
from dovetail.masks import Mask, bidirectional_mask, causal_mask
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    ModelOutput,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
    Seq2SeqQuestionAnsweringModelOutput,
    Seq2SeqSequenceClassifierOutput,
    TokenClassifierOutput,
    seq2seq_output,
)
from dovetail.recording import Recorder, backbone, task_head
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

    def forward(
        self,
        hidden_states: Tensor,
        mask: Mask | None,
        bias: Tensor | None = None,
        head_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        cache_position: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> Tensor:
        query = self.split(self.q(hidden_states))
        if encoder_hidden_states is None:
            key, value = self.keys(hidden_states)
            if past_key_values is not None:
                key, value = past_key_values.update(key, value, self.layer_idx, cache_position)
        elif isinstance(past_key_values, EncoderDecoderCache):
            key, value = past_key_values.cross(
                self.layer_idx, lambda: self.keys(encoder_hidden_states)
            )
        else:
            key, value = self.keys(encoder_hidden_states)
        if bias is not None and self.pruned_heads:
            bias = bias[
                :, [head for head in range(self.num_heads) if head not in self.pruned_heads]
            ]
        output = attention(
            query,
            key,
            value,
            mask,
            scale=1.0,
            dropout=self.config.dropout_rate if self.training else 0.0,
            bias=bias,
            head_mask=None if head_mask is None else head_mask[self.layer_idx],
            implementation=self.config._attn_implementation,
            recorder=recorder,
            record_as="cross_attentions" if self.cross else "attentions",
        )
        return self.o(output)

    def split(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (-1, self.config.d_kv)).transpose(1, 2)  # (B, H, T, E)

    def keys(self, states: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(self.k(states)), self.split(self.v(states))

    def position_bias(self, positions: Tensor, key_length: int) -> Tensor:
        """Bias (1, H, T, S) of queries at `positions` (T,) towards `key_length` keys."""
        distance = torch.arange(key_length, device=positions.device)[None, :] - positions[:, None]
        return self.relative_attention_bias(self.bucket(distance)).permute(2, 0, 1)[None]

    def bucket(self, distance: Tensor) -> Tensor:
        """Number of the bucket of each signed distance: exact when near, logarithmic when far, one for all beyond."""
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

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        function = getattr(self, self.name)
        hidden_states = hidden_states + self.dropout(
            function(self.layer_norm(hidden_states), *args, **kwargs)
        )
        if hidden_states.dtype == torch.float16:  # T5's activations overflow half precision
            limit = torch.finfo(torch.float16).max
            hidden_states = hidden_states.clamp(-limit, limit)
        return hidden_states


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

    def forward(
        self,
        hidden_states: Tensor,
        mask: Mask | None,
        encoder_mask: Mask | None,
        *,
        bias: Tensor,
        head_mask: Tensor | None,
        cross_head_mask: Tensor | None,
        encoder_hidden_states: Tensor | None,
        **attention_inputs: Any,
    ) -> Tensor:
        hidden_states = self.layer[0](
            hidden_states, mask, bias=bias, head_mask=head_mask, **attention_inputs
        )
        if encoder_hidden_states is not None:
            hidden_states = self.layer[1](
                hidden_states,
                encoder_mask,
                head_mask=cross_head_mask,
                encoder_hidden_states=encoder_hidden_states,
                **attention_inputs,
            )
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
        cache = (
            self.open_cache(past_key_values, use_cache, EncoderDecoderCache)
            if self.config.is_decoder
            else None
        )
        cache_position = self.positions(hidden_states, cache, cache_position)
        encoder_mask = None
        if self.config.is_decoder:
            mask = causal_mask(
                hidden_states, attention_mask, cache=cache, cache_position=cache_position
            )
            if encoder_hidden_states is not None:
                keys = encoder_hidden_states.shape[1]
                encoder_mask = bidirectional_mask(hidden_states, encoder_attention_mask, keys)
        else:
            mask = bidirectional_mask(hidden_states, attention_mask)
        length = hidden_states.shape[1]
        keys = length if cache is None else cache.key_length(length)
        hidden_states = self.run_layers(
            self.block,
            self.dropout(hidden_states),
            mask,
            encoder_mask,
            bias=self.block[0].layer[0].SelfAttention.position_bias(cache_position, keys),
            head_mask=self.expand_head_mask(head_mask),
            cross_head_mask=self.expand_head_mask(cross_attn_head_mask),
            encoder_hidden_states=encoder_hidden_states,
            past_key_values=cache,
            cache_position=cache_position,
            recorder=recorder,
        )
        hidden_states = self.dropout(self.final_layer_norm(hidden_states))
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=hidden_states, past_key_values=cache
        )


class T5EncoderDecoder(T5PreTrainedModel):
    """Base of the models with both stacks, which share one embedding; `run` is their common forward pass."""

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

    def build_head(self) -> None:
        """Create the layers after the decoder."""

    def get_encoder(self) -> T5Stack:
        """The encoder."""
        return self.encoder

    def get_decoder(self) -> T5Stack:
        """The decoder."""
        return self.decoder

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the shared embedding and both stacks' copies."""
        self.shared = self.encoder.embed_tokens = self.decoder.embed_tokens = value

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        self.encoder._prune_heads(heads_to_prune)

    def run(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        decoder_head_mask: Tensor | None = None,
        cross_attn_head_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        **recording: bool | None,
    ) -> tuple[ModelOutput, ModelOutput]:
        """Outputs of decoder and encoder; the encoder runs unless `encoder_outputs` are given."""
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids,
                attention_mask,
                inputs_embeds=inputs_embeds,
                head_mask=head_mask,
                return_dict=True,
                **recording,
            )
        elif not isinstance(encoder_outputs, ModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        decoder_outputs = self.decoder(
            decoder_input_ids,
            decoder_attention_mask,
            encoder_hidden_states=encoder_outputs[0],
            encoder_attention_mask=attention_mask,
            inputs_embeds=decoder_inputs_embeds,
            head_mask=head_mask if decoder_head_mask is None else decoder_head_mask,
            cross_attn_head_mask=cross_attn_head_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            return_dict=True,
            **recording,
        )
        return decoder_outputs, encoder_outputs

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Decoder inputs for `labels`: shifted right behind the start token."""
        return self._shift_right(labels)

    def _shift_right(self, input_ids: Tensor) -> Tensor:
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        if start is None:
            raise ValueError(
                "config.decoder_start_token_id is not set; T5 starts with its padding token: set it to pad_token_id."
            )
        shifted = F.pad(input_ids[..., :-1], (1, 0), value=start)
        return shifted.masked_fill(shifted == IGNORED, pad)


def _stack_config(config: T5Config, is_decoder: bool) -> T5Config:
    stack = copy.deepcopy(config)
    stack.is_decoder, stack.is_encoder_decoder = is_decoder, False
    stack.use_cache = config.use_cache and is_decoder
    stack.tie_word_embeddings = False
    if is_decoder:
        stack.num_layers = config.num_decoder_layers
    return stack


class T5Model(T5EncoderDecoder):
    """Encoder and decoder without a head."""

    @task_head
    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Seq2SeqModelOutput:
        """Decoder states (B, T, D) and encoder states; arguments of `T5EncoderDecoder.run`."""
        decoder, encoder = self.run(input_ids, attention_mask, **kwargs)
        return seq2seq_output(
            Seq2SeqModelOutput, decoder, encoder, last_hidden_state=decoder["last_hidden_state"]
        )


class T5ForConditionalGeneration(T5EncoderDecoder, GenerationMixin):
    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "shared.weight"}

    def build_head(self) -> None:
        self.lm_head = Linear(self.config.d_model, self.config.vocab_size, bias=False)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        decoder_input_ids: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Seq2SeqLMOutput:
        """Logits (B, T, V); `labels` (B, T) give the loss and, shifted right, the decoder's input when it has none."""
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self._shift_right(labels)
        decoder, encoder = self.run(
            input_ids,
            attention_mask,
            decoder_input_ids,
            decoder_inputs_embeds=decoder_inputs_embeds,
            **kwargs,
        )
        logits = self.lm_head(_scaled(decoder["last_hidden_state"], self.config))
        loss = None if labels is None else language_modeling_loss(logits, labels, shift=False)
        return seq2seq_output(Seq2SeqLMOutput, decoder, encoder, loss=loss, logits=logits)


class T5ForQuestionAnswering(T5EncoderDecoder):
    def build_head(self) -> None:
        self.qa_outputs = Linear(self.config.d_model, 2)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        decoder_input_ids: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **kwargs: Any,
    ) -> Seq2SeqQuestionAnsweringModelOutput:
        """Start and end logits (B, T) over the decoder's input, by default the question and text shifted right."""
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = _shifted_inputs(self, input_ids)
        decoder, encoder = self.run(
            input_ids,
            attention_mask,
            decoder_input_ids,
            decoder_inputs_embeds=decoder_inputs_embeds,
            **kwargs,
        )
        start, end = self.qa_outputs(decoder["last_hidden_state"]).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = question_answering_loss(start, end, start_positions, end_positions)
        kind = Seq2SeqQuestionAnsweringModelOutput
        return seq2seq_output(kind, decoder, encoder, loss=loss, start_logits=start, end_logits=end)


class T5ClassificationHead(nn.Module):
    """Two dense layers with tanh between."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.dense = Linear(config.d_model, config.d_model)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.out_proj = Linear(config.d_model, config.num_labels)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(hidden_states)))))


class T5ForSequenceClassification(T5PreTrainedModel):
    """Classifies by the decoder's state at the last end token of the text."""

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.transformer = T5Model(config)
        self.classification_head = T5ClassificationHead(config)
        self.post_init()

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        decoder_input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Seq2SeqSequenceClassifierOutput:
        """Logits (B, labels) and the loss by ``config.problem_type``; each text must have equally many end tokens."""
        shifted = (
            _shifted_inputs(self.transformer, input_ids)
            if decoder_input_ids is None
            else decoder_input_ids
        )
        decoder, encoder = self.transformer.run(input_ids, attention_mask, shifted, **kwargs)
        ends = input_ids == self.config.eos_token_id
        if len(set(ends.sum(1).tolist())) != 1 or not ends.any():
            raise ValueError(
                "Every text of a batch must have the same number of end tokens, at least one."
            )
        last = ends.shape[1] - 1 - ends.flip(1).int().argmax(1)
        rows = torch.arange(len(last), device=last.device)
        logits = self.classification_head(decoder["last_hidden_state"][rows, last])
        loss = None if labels is None else sequence_classification_loss(logits, labels, self.config)
        return seq2seq_output(
            Seq2SeqSequenceClassifierOutput, decoder, encoder, loss=loss, logits=logits
        )


class T5EncoderModel(T5PreTrainedModel):
    """The encoder alone."""

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


class T5ForTokenClassification(T5PreTrainedModel):
    """One label per token, from the encoder."""

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = T5EncoderModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = Linear(config.d_model, config.num_labels)
        self.post_init()

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        """Logits (B, T, labels) and their cross-entropy with `labels` (B, T)."""
        outputs = self.transformer(input_ids, attention_mask, return_dict=True, **kwargs)
        logits = self.classifier(self.dropout(outputs[0]))
        loss = None if labels is None else token_classification_loss(logits, labels)
        recorded = {name: outputs[name] for name in STATES if name in outputs}
        return TokenClassifierOutput(loss=loss, logits=logits, **recorded)


def _scaled(hidden_states: Tensor, config: T5Config) -> Tensor:
    """Undo the width of an embedding that doubles as output layer (Mesh TensorFlow's convention)."""
    return hidden_states * config.d_model**-0.5 if config.tie_word_embeddings else hidden_states


def _shifted_inputs(model: T5EncoderDecoder, input_ids: Tensor | None) -> Tensor:
    if input_ids is None:
        raise ValueError("Give input_ids, or decoder_input_ids or decoder_inputs_embeds.")
    return model._shift_right(input_ids)
