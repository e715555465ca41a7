"""InstructBLIP for videos passes its batteries; and what is peculiar to it."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from tests.models_vision.querying import PLACE, QFORMER, QUERIES, SIZES, VISION, WriterConformance
from tests.models_vision.test_instructblip import asked
from torch import Tensor

from dovetail import (
    InstructBlipVideoConfig,
    InstructBlipVideoForConditionalGeneration,
    InstructBlipVideoQFormerConfig,
    InstructBlipVideoQFormerModel,
    InstructBlipVideoVisionConfig,
    InstructBlipVideoVisionModel,
)
from dovetail.testing.conformance import EncoderConformance, VisionConformance

MODEL = InstructBlipVideoForConditionalGeneration
FRAMES = 2


class TestInstructBlipVideo(WriterConformance):
    config_class = InstructBlipVideoConfig
    model_classes = (MODEL,)
    sizes: ClassVar[dict[str, Any]] = {**SIZES, "video_token_index": PLACE}
    places = QUERIES * FRAMES
    pixels_of = (FRAMES, 3, 16, 16)

    def asked(self, batch: int) -> dict[str, Tensor]:
        return asked(batch)


class TestInstructBlipVideoQFormer(EncoderConformance):
    config_class = InstructBlipVideoQFormerConfig
    model_classes = (InstructBlipVideoQFormerModel,)
    sizes: ClassVar[dict[str, Any]] = {**QFORMER, "encoder_hidden_size": 40}

    test_embeddings_may_be_given_in_place_of_ids = None  # type: ignore[assignment] # it takes none
    test_texts_without_tokens_are_refused = None  # type: ignore[assignment] # queries are enough


class TestInstructBlipVideoVision(VisionConformance):
    config_class = InstructBlipVideoVisionConfig
    model_classes = (InstructBlipVideoVisionModel,)
    sizes = VISION


def test_what_is_no_video_is_refused():
    model = TestInstructBlipVideo().build(MODEL)
    given = TestInstructBlipVideo().inputs(MODEL, model.config)
    for pixels in (given["pixel_values"][:, 0], given["pixel_values"][:, :0]):
        with pytest.raises(ValueError, match="at least one frame"):
            model(**{**given, "pixel_values": pixels})
    with pytest.raises(ValueError, match=r"12 video tokens .* make 6 features"):
        model(**{**given, "pixel_values": given["pixel_values"][:, :1]})


def test_the_order_of_frames_matters():
    subject = TestInstructBlipVideo()
    model = subject.build(MODEL)
    given = subject.inputs(MODEL, model.config)
    turned = {**given, "pixel_values": given["pixel_values"].flip(1)}
    logits = subject.run(model, given).logits
    assert not torch.allclose(subject.run(model, turned).logits, logits)
