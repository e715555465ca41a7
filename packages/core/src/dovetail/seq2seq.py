"""What encoder-decoder architectures share: running both stacks, and the task heads behind the
decoder.

A family's base class inherits `EncoderDecoderModel` and has attributes ``encoder`` and ``decoder``;
its heads inherit one of the classes here and that base.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache
from dovetail.generation import GenerationMixin
from dovetail.layers.projections import Linear
from dovetail.losses import (
    IGNORED,
    language_modeling_loss,
    question_answering_loss,
    sequence_classification_loss,
)
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import (
    BaseModelOutput,
    ModelOutput,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
    Seq2SeqQuestionAnsweringModelOutput,
    Seq2SeqSequenceClassifierOutput,
    seq2seq_output,
)
from dovetail.recording import task_head


class EncoderDecoderModel(PreTrainedModel):
    """An encoder and a decoder that reads it; `run` is the forward pass that all heads share.

    `decoder_repeats_text`: a decoder that is given nothing reads the text, shifted right;
    `shares_head_mask`: a decoder without a head mask takes the encoder's.
    """

    decoder_repeats_text: ClassVar[bool] = False
    shares_head_mask: ClassVar[bool] = False

    def build_head(self) -> None:
        """Create the layers after the decoder; called by the family's constructor."""

    def get_encoder(self) -> Any:
        """The encoder."""
        return self.base_model.encoder

    def get_decoder(self) -> Any:
        """The decoder."""
        return self.base_model.decoder

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
        if (
            self.decoder_repeats_text
            and decoder_input_ids is None
            and decoder_inputs_embeds is None
        ):
            decoder_input_ids = self.shift_right(input_ids)
        if self.shares_head_mask and decoder_head_mask is None:
            decoder_head_mask = head_mask
        if encoder_outputs is None:
            encoder_outputs = self.get_encoder()(
                input_ids,
                attention_mask,
                inputs_embeds=inputs_embeds,
                head_mask=head_mask,
                return_dict=True,
                **recording,
            )
        elif not isinstance(encoder_outputs, ModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        decoder_outputs = self.get_decoder()(
            decoder_input_ids,
            decoder_attention_mask,
            encoder_hidden_states=encoder_outputs[0],
            encoder_attention_mask=attention_mask,
            inputs_embeds=decoder_inputs_embeds,
            head_mask=decoder_head_mask,
            cross_attn_head_mask=cross_attn_head_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            return_dict=True,
            **recording,
        )
        return decoder_outputs, encoder_outputs

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Decoder inputs for `labels` (B, T): shifted right behind the start token."""
        return self.shift_right(labels)

    def shift_right(self, ids: Tensor | None) -> Tensor:
        """`ids` (B, T) moved one to the right behind ``config.decoder_start_token_id``, ignored
        labels as padding."""
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        if ids is None:
            raise ValueError("Give input_ids, or decoder_input_ids or decoder_inputs_embeds.")
        if start is None or pad is None:
            raise ValueError(
                f"config.decoder_start_token_id={start} and config.pad_token_id={pad} must be set "
                "to make decoder inputs; the start token is usually the padding token."
            )
        shifted = F.pad(ids[..., :-1], (1, 0), value=start)
        return shifted.masked_fill(shifted == IGNORED, pad)


class Seq2SeqBody(EncoderDecoderModel):
    """Encoder and decoder without a head."""

    @task_head
    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Seq2SeqModelOutput:
        """Decoder states (B, T, D) and encoder states; arguments of `EncoderDecoderModel.run`."""
        decoder, encoder = self.run(input_ids, attention_mask, **kwargs)
        last = decoder["last_hidden_state"]
        return seq2seq_output(Seq2SeqModelOutput, decoder, encoder, last_hidden_state=last)


class ForConditionalGeneration(EncoderDecoderModel, GenerationMixin):
    """Text from text; a family overrides `logits` where more than a projection follows the
    decoder."""

    def build_head(self) -> None:
        self.lm_head = Linear(self.config.hidden_size, self.config.vocab_size, bias=False)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Token logits of `hidden_states` (B, T, D)."""
        return self.lm_head(hidden_states)

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
        """Logits (B, T, V); `labels` (B, T) give the loss and, shifted, the decoder's missing
        input."""
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.shift_right(labels)
        kwargs["decoder_inputs_embeds"] = decoder_inputs_embeds
        decoder, encoder = self.run(input_ids, attention_mask, decoder_input_ids, **kwargs)
        logits = self.logits(decoder["last_hidden_state"])
        loss = None if labels is None else language_modeling_loss(logits, labels, shift=False)
        return seq2seq_output(Seq2SeqLMOutput, decoder, encoder, loss=loss, logits=logits)


class Seq2SeqQuestionAnswering(EncoderDecoderModel):
    """Where in the text an answer starts and ends; the decoder reads the text shifted right."""

    def build_head(self) -> None:
        self.qa_outputs = Linear(self.config.hidden_size, 2)

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
        """Start and end logits (B, T); the loss when both positions (B,) are given."""
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.shift_right(input_ids)
        if start_positions is not None and end_positions is not None:
            kwargs["use_cache"] = False
        kwargs["decoder_inputs_embeds"] = decoder_inputs_embeds
        decoder, encoder = self.run(input_ids, attention_mask, decoder_input_ids, **kwargs)
        start, end = self.qa_outputs(decoder["last_hidden_state"]).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = question_answering_loss(start, end, start_positions, end_positions)
        kind = Seq2SeqQuestionAnsweringModelOutput
        return seq2seq_output(kind, decoder, encoder, loss=loss, start_logits=start, end_logits=end)


class ClassificationHead(nn.Module):
    """Two dense layers with tanh between."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.out_proj = Linear(config.hidden_size, config.num_labels)

    def forward(self, hidden_states: Tensor) -> Tensor:
        hidden_states = torch.tanh(self.dense(self.dropout(hidden_states)))
        return self.out_proj(self.dropout(hidden_states))


class Seq2SeqSequenceClassification(EncoderDecoderModel):
    """Classifies by the decoder's state at the last end token of the text, which it reads shifted
    right."""

    def build_head(self) -> None:
        self.classification_head = ClassificationHead(self.config)

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
        """Logits (B, labels), by ``config.problem_type`` the loss; all texts need equally many
        ends."""
        if decoder_input_ids is None:
            decoder_input_ids = self.shift_right(input_ids)
        if labels is not None:
            kwargs["use_cache"] = False
        decoder, encoder = self.run(input_ids, attention_mask, decoder_input_ids, **kwargs)
        ends = input_ids == self.config.eos_token_id
        if not ends.any() or len(ends.sum(1).unique()) != 1:
            raise ValueError(
                "Every text of a batch needs the same number of end tokens, at least one."
            )
        last = ends.shape[1] - 1 - ends.flip(1).int().argmax(1)
        pooled = decoder["last_hidden_state"][torch.arange(len(last), device=last.device), last]
        logits = self.classification_head(pooled)
        loss = None if labels is None else sequence_classification_loss(logits, labels, self.config)
        kind = Seq2SeqSequenceClassifierOutput
        return seq2seq_output(kind, decoder, encoder, loss=loss, logits=logits)
