"""Texts from texts by any encoder and any decoder, from checkpoints that were pre-trained apart
(arXiv 1907.12461).

B batch, S length of the source, T length of the target, V vocabulary.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dovetail.outputs import Seq2SeqLMOutput
from dovetail.pairs import PairedModel, tied_halves
from dovetail.recording import task_head
from dovetail_models_text.encoder_decoder.configuration import EncoderDecoderConfig


class EncoderDecoderModel(PairedModel):
    """A pair whose encoder reads text."""

    config_class = EncoderDecoderConfig
    base_model_prefix = "encoder_decoder"

    def tied_weights(self) -> dict[str, str]:
        """Those of both halves and, if the config ties these, the encoder's to the decoder's."""
        ties = super().tied_weights()
        if self.config.tie_encoder_decoder:
            ties |= tied_halves(self.encoder, self.decoder)
        return ties

    def encoder_mask(self, states: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        """The source's own mask."""
        return attention_mask

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        cache_position: Tensor | None = None,
        **options: Any,
    ) -> Seq2SeqLMOutput:
        """Logits (B, T, V) of targets (B, T) for sources (B, S); see `PairedModel.run_pair`. What
        is ignored in `labels` is padding to the decoder."""
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.shift_right(labels)
            if decoder_attention_mask is None:
                decoder_attention_mask = (decoder_input_ids != self.config.pad_token_id).long()
        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "inputs_embeds": inputs_embeds,
        }
        return self.run_pair(
            given,
            encoder_outputs=encoder_outputs,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            decoder_inputs_embeds=decoder_inputs_embeds,
            labels=labels,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **options,
        )
