"""InstructBLIP: BLIP-2 whose queries read a picture as an instruction asks (arXiv 2305.06500).

The Q-Former has a tokenizer and a vocabulary of its own. B batch, C channels, H height, W width,
T tokens, U tokens of the Q-Former, V vocabulary.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from dovetail.generation import GenerationMixin
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput
from dovetail.recording import task_head
from dovetail_models_vision.blip.vision import BlipVisionModel
from dovetail_models_vision.blip_2.outputs import Blip2ForConditionalGenerationModelOutput
from dovetail_models_vision.blip_2.qformer import InstructedQFormer
from dovetail_models_vision.blip_2.writing import QueryWriter, Seen
from dovetail_models_vision.instructblip.configuration import (
    InstructBlipConfig,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
)


class InstructBlipForConditionalGenerationModelOutput(Blip2ForConditionalGenerationModelOutput):
    """As BLIP-2's."""


class InstructBlipVisionModel(BlipVisionModel):
    """BLIP's image encoder."""

    config_class = InstructBlipVisionConfig


class InstructBlipQFormerModel(InstructedQFormer):
    """A Q-Former that reads an instruction beside its queries."""

    config_class = InstructBlipQFormerConfig


class InstructBlipPreTrainedModel(PreTrainedModel):
    config_class = InstructBlipConfig
    base_model_prefix = "blip"
    main_input_name = "pixel_values"
    _no_split_modules: ClassVar[list[str]] = ["BlipVisionLayer", "QFormerLayer", "NormedEmbeddings"]


class InstructedWriter(QueryWriter, GenerationMixin):
    """Base of what writes about pictures as an instruction asks."""

    def frames_of(self, pixel_values: Tensor) -> tuple[Tensor, int]:
        """All pictures (B * F, C, H, W), and how many of them, F, belong together."""
        return pixel_values, 1

    def begin(self) -> int:
        """The token that begins every text: the first Vicunas were trained with another one than
        their config names."""
        named = self.config.text_config.architectures or [None]
        return 2 if named[0] == "LLaMAForCausalLM" else super().begin()

    def look_as_asked(
        self,
        pixel_values: Tensor | None,
        qformer_input_ids: Tensor | None,
        qformer_attention_mask: Tensor | None,
        interpolate_pos_encoding: bool,
        records: dict[str, Any],
    ) -> Seen:
        """What queries find in pictures as instructions (B, U) ask.

        Raises:
            ValueError: pictures or instructions are missing, or there are not as many of both.
        """
        kind = self.kind
        if pixel_values is None or qformer_input_ids is None:
            missing = "pixel_values" if pixel_values is None else "qformer_input_ids"
            raise ValueError(
                f"{missing} is None: give what the processor makes of {kind} and text."
            )
        pictures, frames = self.frames_of(pixel_values)
        if len(qformer_input_ids) * frames != len(pictures):
            raise ValueError(
                f"qformer_input_ids hold {len(qformer_input_ids)} instructions and pixel_values "
                f"{len(pictures) // frames} {kind}s: give one instruction for each {kind}."
            )
        if qformer_attention_mask is None:
            qformer_attention_mask = torch.ones_like(qformer_input_ids)
        queries = qformer_attention_mask.new_ones(
            len(qformer_input_ids), self.query_tokens.shape[1]
        )
        mask = torch.cat((queries, qformer_attention_mask), 1)
        return self.look(
            pictures,
            interpolate_pos_encoding,
            records,
            frames,
            input_ids=qformer_input_ids.repeat_interleave(frames, 0),
            attention_mask=mask.repeat_interleave(frames, 0),
        )

    @task_head
    def forward(
        self,
        pixel_values: Tensor | None = None,
        qformer_input_ids: Tensor | None = None,
        qformer_attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **recording: Any,
    ) -> ModelOutput:
        """Logits (B, T, V) of texts (B, T) with pictures that the Q-Former reads by its own tokens
        (B, U), and with `labels` (B, T) the loss; a language model that has an encoder reads
        `decoder_input_ids`, too."""
        records = self.records(recording)
        seen = self.look_as_asked(
            pixel_values,
            qformer_input_ids,
            qformer_attention_mask,
            interpolate_pos_encoding,
            records,
        )
        if input_ids is None:
            raise ValueError(
                "input_ids is None: give texts (batch, length); generate() needs none."
            )
        return self.predict(
            seen,
            self.prompt(input_ids, attention_mask, seen.features),
            labels,
            records,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
        )

    @torch.no_grad()
    def generate(
        self,
        pixel_values: Tensor,
        qformer_input_ids: Tensor | None = None,
        qformer_attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **generate_kwargs: Any,
    ) -> Any:
        """Token ids of what continues texts (B, T) with their pictures; `generate_kwargs` go to the
        language model's ``generate``.

        Where pictures have places in the text, a text may have several of them: `pixel_values` and
        `qformer_input_ids` then have a row for each picture, in their order.
        """
        seen = self.look_as_asked(
            pixel_values, qformer_input_ids, qformer_attention_mask, interpolate_pos_encoding, {}
        )
        return self.write(seen.features, input_ids, attention_mask, generate_kwargs)


class InstructBlipForConditionalGeneration(InstructedWriter, InstructBlipPreTrainedModel):
    """Texts about pictures (B, C, H, W)."""

    vision_class = InstructBlipVisionModel
    qformer_class = InstructBlipQFormerModel
    output_class = InstructBlipForConditionalGenerationModelOutput
