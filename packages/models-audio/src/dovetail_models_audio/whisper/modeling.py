"""Whisper: an encoder of log-mel energies, a decoder that writes what was said (arXiv 2212.04356).

Blocks are BART's with norms before them and keys without a bias. B batch, M mel bins, F frames, S
encoder positions (half of F), T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import copy
from functools import wraps
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache
from dovetail.heads import ForCausalLM
from dovetail.layers.embeddings import SinusoidalEmbedding
from dovetail.layers.projections import Linear
from dovetail.modeling import INPUT_EMBEDDINGS, PreTrainedModel
from dovetail.outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    ModelOutput,
    Seq2SeqModelOutput,
    SequenceClassifierOutput,
    seq2seq_output,
)
from dovetail.recording import Recorder, backbone, task_head
from dovetail.seq2seq import EncoderDecoderModel
from dovetail_models_audio.whisper.augmentation import hide_spans
from dovetail_models_audio.whisper.configuration import WhisperConfig
from dovetail_models_text.bart.modeling import BartAttention, BartLayer, initialise


class WhisperAttention(BartAttention):
    """BART's attention, whose keys have no bias."""

    def __init__(self, config: Any, heads: int, layer_idx: int, cross: bool = False) -> None:
        super().__init__(config, heads, layer_idx, cross)
        self.k_proj = Linear(config.d_model, config.d_model, bias=False)


class WhisperLayer(BartLayer):
    """BART's block with Whisper's attention."""

    attention_class: ClassVar[type[BartAttention]] = WhisperAttention


class WhisperPreTrainedModel(PreTrainedModel):
    config_class = WhisperConfig
    base_model_prefix = "model"
    main_input_name = "input_features"
    input_embeddings = "decoder.embed_tokens"
    _no_split_modules: ClassVar[list[str]] = ["WhisperLayer"]

    def _init_weights(self, module: nn.Module) -> None:
        initialise(module, self.config.init_std)
        if isinstance(module, nn.Conv1d):
            module.weight.data.normal_(mean=0.0, std=self.config.init_std)
            if module.bias is not None:
                module.bias.data.zero_()


class WhisperEncoder(WhisperPreTrainedModel):
    """Reads a window of energies at once; every second frame gets a position."""

    input_embeddings = "conv1"

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        width, positions = config.d_model, config.max_source_positions
        self.conv1 = nn.Conv1d(config.num_mel_bins, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.embed_positions = SinusoidalEmbedding(positions, width, closed=True)
        self.layers = nn.ModuleList(
            WhisperLayer(config, index, decoder=False) for index in range(config.encoder_layers)
        )
        self.layer_norm = nn.LayerNorm(width)
        self.post_init()

    @backbone
    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutput:
        """States (B, S, D) of energies (B, M, F); silence is heard, so `attention_mask` does
        nothing.

        Raises:
            ValueError: energies of other mel bins or of another number of frames.
        """
        self._check(input_features)
        inner = F.gelu(self.conv1(input_features.to(self.conv1.weight.dtype)))
        inner = F.gelu(self.conv2(inner)).transpose(1, 2)
        context = self.encoder_context(inner, None, head_mask=head_mask, recorder=recorder)
        hidden_states = inner + self.embed_positions(context.position_ids)
        hidden_states = F.dropout(hidden_states, self.config.dropout, self.training)
        drop = self.config.encoder_layerdrop
        hidden_states = self.run_layers(self.layers, hidden_states, context, drop)
        return BaseModelOutput(self.layer_norm(hidden_states))

    def _check(self, input_features: Tensor) -> None:
        shape = tuple(input_features.shape)
        wanted = (self.config.num_mel_bins, 2 * self.config.max_source_positions)
        if len(shape) != 3 or shape[1:] != wanted:
            raise ValueError(
                f"input_features of shape {shape} must be (batch, {wanted[0]}, {wanted[1]}), mel "
                "bins by frames: make them by the checkpoint's feature extractor, which pads and "
                "cuts sound to one window."
            )


class WhisperDecoder(WhisperPreTrainedModel):
    """Writes from left to right and, if there is one, reads an encoder's states."""

    main_input_name = "input_ids"
    input_embeddings = "embed_tokens"

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        width = config.d_model
        self.embed_tokens = nn.Embedding(config.vocab_size, width, config.pad_token_id)
        self.embed_positions = nn.Embedding(config.max_target_positions, width)
        self.layers = nn.ModuleList(
            WhisperLayer(config, index, decoder=True) for index in range(config.decoder_layers)
        )
        self.layer_norm = nn.LayerNorm(width)
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        head_mask: Tensor | None = None,
        cross_attn_head_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
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
        hidden_states = tokens + self.embed_positions(context.position_ids)
        hidden_states = F.dropout(hidden_states, self.config.dropout, self.training)
        drop = self.config.decoder_layerdrop
        hidden_states = self.run_layers(self.layers, hidden_states, context, drop)
        hidden_states = self.layer_norm(hidden_states)
        return BaseModelOutputWithPastAndCrossAttentions(hidden_states, context.next_cache)


class WhisperEncoderDecoder(WhisperPreTrainedModel, EncoderDecoderModel):
    """Base of the models with both stacks."""

    def run(  # type: ignore[override]
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        *,
        head_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        decoder_position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> tuple[ModelOutput, ModelOutput]:
        """Outputs of decoder and encoder; `attention_mask` (B, F) only says which frames training
        may hide."""
        recording = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        if encoder_outputs is None:
            if input_features is None:
                raise ValueError("Give input_features, or encoder_outputs.")
            if self.training and self.config.apply_spec_augment:
                input_features = hide_spans(input_features, self.config, attention_mask)
            encoder_outputs = self.get_encoder()(
                input_features, head_mask=head_mask, return_dict=True, **recording
            )
        # With the encoder's outputs at hand, what is no argument of `run` goes to the decoder.
        rest: dict[str, Any] = {**kwargs, **recording, "position_ids": decoder_position_ids}
        return super().run(
            decoder_input_ids=decoder_input_ids, encoder_outputs=encoder_outputs, **rest
        )

    def freeze_encoder(self) -> None:
        """Train the encoder no more."""
        self.get_encoder().requires_grad_(False)


class WhisperModel(WhisperEncoderDecoder):
    """Encoder and decoder without a head."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.encoder = WhisperEncoder(config)
        self.decoder = WhisperDecoder(config)
        self.post_init()

    @task_head
    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Seq2SeqModelOutput:
        """Decoder states (B, T, D) and encoder states of energies (B, M, F)."""
        decoder, encoder = self.run(input_features, attention_mask, decoder_input_ids, **kwargs)
        last = decoder["last_hidden_state"]
        return seq2seq_output(Seq2SeqModelOutput, decoder, encoder, last_hidden_state=last)


class WhisperDecoderWrapper(WhisperPreTrainedModel):
    """Holds a decoder under the name that it has in a whole model."""

    main_input_name = "input_ids"

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.decoder = WhisperDecoder(config)
        self.post_init()

    @wraps(WhisperDecoder.forward)
    def forward(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        return self.decoder(*args, **kwargs)


class WhisperForCausalLM(ForCausalLM, WhisperPreTrainedModel):
    """The decoder alone; whoever gives labels shifts them."""

    body_class = WhisperDecoderWrapper
    main_input_name = "input_ids"
    output_embeddings = "proj_out"
    output_class = CausalLMOutputWithCrossAttentions
    shifts_labels = False
    _tied_weights_keys: ClassVar[dict[str, str]] = {"proj_out.weight": INPUT_EMBEDDINGS}

    def __init__(self, config: WhisperConfig) -> None:
        config = copy.deepcopy(config)
        config.is_decoder, config.is_encoder_decoder = True, False
        super().__init__(config)

    def build_head(self) -> None:
        self.proj_out = Linear(self.config.d_model, self.config.vocab_size, bias=False)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Token logits of `hidden_states` (B, T, D)."""
        return self.proj_out(hidden_states)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        encoder_outputs: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Logits (B, T, V) and, with `labels` (B, T), the loss; the first of `encoder_outputs` is
        read."""
        if encoder_outputs is not None:
            kwargs["encoder_hidden_states"] = encoder_outputs[0]
        return super().forward(input_ids, attention_mask, **kwargs)

    def get_decoder(self) -> WhisperDecoder:
        """The decoder."""
        return self.base_model.decoder


class WhisperForAudioClassification(WhisperPreTrainedModel):
    """Classifies by the mean over time of the encoder's projected states."""

    input_embeddings = "encoder.conv1"

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.encoder = WhisperEncoder(config)
        if config.use_weighted_layer_sum:
            count = config.num_hidden_layers + 1
            self.layer_weights = nn.Parameter(torch.full((count,), 1 / count))
        self.projector = Linear(config.d_model, config.classifier_proj_size)
        self.classifier = Linear(config.classifier_proj_size, config.num_labels)
        self.post_init()

    def freeze_encoder(self) -> None:
        """Train the encoder no more."""
        self.encoder.requires_grad_(False)

    @task_head
    def forward(
        self,
        input_features: Tensor | None = None,
        head_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        labels: Tensor | None = None,
        **recording: bool | None,
    ) -> SequenceClassifierOutput:
        """Logits (B, labels) of energies (B, M, F), or of what the encoder made of them, and the
        loss of `labels` (B,)."""
        weighted = self.config.use_weighted_layer_sum
        if encoder_outputs is None:
            if weighted:
                recording["output_hidden_states"] = True
            encoder_outputs = self.encoder(
                input_features, head_mask=head_mask, return_dict=True, **recording
            )
        elif not isinstance(encoder_outputs, ModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        hidden_states = encoder_outputs[0]
        if weighted:
            layers = torch.stack(encoder_outputs["hidden_states"], -1)
            hidden_states = layers @ self.layer_weights.softmax(-1)
        logits = self.classifier(self.projector(hidden_states).mean(1))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits, labels.to(logits.device))
        recorded = {k: encoder_outputs.get(k) for k in ("hidden_states", "attentions")}
        return SequenceClassifierOutput(loss=loss, logits=logits, **recorded)
