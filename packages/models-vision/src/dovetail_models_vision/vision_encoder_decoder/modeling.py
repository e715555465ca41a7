"""Texts about pictures by any encoder of pictures and any decoder of text (arXiv 2109.10282, for
instance).

B batch, C channels, H height, W width, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dovetail.outputs import Seq2SeqLMOutput
from dovetail.pairs import PairedModel
from dovetail.recording import task_head
from dovetail_models_vision.vision_encoder_decoder.configuration import VisionEncoderDecoderConfig


class VisionEncoderDecoderModel(PairedModel):
    """A pair whose encoder reads pictures."""

    config_class = VisionEncoderDecoderConfig
    base_model_prefix = "vision_encoder_decoder"
    main_input_name = "pixel_values"

    @task_head
    def forward(
        self,
        pixel_values: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        cache_position: Tensor | None = None,
        **options: Any,
    ) -> Seq2SeqLMOutput:
        """Logits (B, T, V) of texts (B, T) about pictures (B, C, H, W); see `PairedModel.run_pair`.

        Raises:
            ValueError: there are neither pictures nor `encoder_outputs`.
        """
        if pixel_values is None and encoder_outputs is None:
            raise ValueError(
                "pixel_values is None: give pictures (batch, channels, height, width)."
            )
        return self.run_pair(
            {"pixel_values": pixel_values},
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
