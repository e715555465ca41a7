"""InstructBLIP for videos: queries read each frame, and the language model those of all frames in a
row (arXiv 2305.06500).

B batch, F frames, C channels, H height, W width.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dovetail.modeling import PreTrainedModel
from dovetail_models_vision.instructblip.modeling import (
    InstructBlipForConditionalGenerationModelOutput,
    InstructBlipQFormerModel,
    InstructBlipVisionModel,
    InstructedWriter,
)
from dovetail_models_vision.instructblipvideo.configuration import (
    InstructBlipVideoConfig,
    InstructBlipVideoQFormerConfig,
    InstructBlipVideoVisionConfig,
)


class InstructBlipVideoForConditionalGenerationModelOutput(
    InstructBlipForConditionalGenerationModelOutput
):
    """As BLIP-2's; rows of the parts but the language model are frames."""


class InstructBlipVideoVisionModel(InstructBlipVisionModel):
    """BLIP's image encoder, for frames."""

    config_class = InstructBlipVideoVisionConfig


class InstructBlipVideoQFormerModel(InstructBlipQFormerModel):
    """A Q-Former that reads an instruction beside its queries."""

    config_class = InstructBlipVideoQFormerConfig


class InstructBlipVideoPreTrainedModel(PreTrainedModel):
    config_class = InstructBlipVideoConfig
    base_model_prefix = "blip"
    main_input_name = "pixel_values"
    _no_split_modules: ClassVar[list[str]] = ["BlipVisionLayer", "QFormerLayer", "NormedEmbeddings"]


class InstructBlipVideoForConditionalGeneration(InstructedWriter, InstructBlipVideoPreTrainedModel):
    """Texts about videos (B, F, C, H, W)."""

    vision_class = InstructBlipVideoVisionModel
    qformer_class = InstructBlipVideoQFormerModel
    output_class = InstructBlipVideoForConditionalGenerationModelOutput
    kind = "video"

    def frames_of(self, pixel_values: Tensor) -> tuple[Tensor, int]:
        """All frames (B * F, C, H, W) of the videos, and how many each has."""
        if pixel_values.dim() != 5 or not pixel_values.shape[1]:
            raise ValueError(
                f"pixel_values of shape {tuple(pixel_values.shape)} must be (batch, frames, "
                "channels, height, width) with at least one frame."
            )
        return pixel_values.flatten(0, 1), pixel_values.shape[1]
