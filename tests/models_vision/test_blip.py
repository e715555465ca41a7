"""BLIP's classes pass their batteries; and what is peculiar to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tests.models_vision.towers import LAYERS, VISION, TwoTowersConformance, check_sides

from dovetail import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipForQuestionAnswering,
    BlipModel,
    BlipTextConfig,
    BlipTextModel,
    BlipVisionConfig,
    BlipVisionModel,
)
from dovetail.errors import ConfigError, GenerationError
from dovetail.testing.conformance import EncoderConformance, VisionConformance
from dovetail.testing.subject import Subject
from dovetail.testing.training import EmbeddingTests

BEGIN, END = 97, 98
TEXT = LAYERS | {
    "vocab_size": 99,
    "max_position_embeddings": 24,
    "bos_token_id": BEGIN,
    "sep_token_id": END,
}
SIZES: dict[str, Any] = {
    "text_config": TEXT,
    "vision_config": VISION | {"initializer_range": 0.02},
    "projection_dim": 20,
    "image_text_hidden_size": 20,
}


class TestBlip(TwoTowersConformance):
    config_class = BlipConfig
    model_classes = (BlipModel,)
    sizes = SIZES
    unused = (r"crossattention", r"key\.bias")


class TestBlipTasks(VisionConformance, EmbeddingTests):
    config_class = BlipConfig
    model_classes = (
        BlipForConditionalGeneration,
        BlipForQuestionAnswering,
        BlipForImageTextRetrieval,
    )
    sizes = SIZES
    unused = r"key\.bias"

    def inputs(self, model_class: Any, config: Any, batch: int = 2, length: int = 7) -> Any:
        ids = Subject.inputs(self, model_class, config, batch, length)
        inputs = {**ids, "pixel_values": self.pixels(config.vision_config, batch)}
        if model_class is BlipForQuestionAnswering:
            inputs["decoder_input_ids"] = self.tokens(config, batch, 5, seed="answers")
        return inputs

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if model_class is BlipForImageTextRetrieval:
            return {}
        read = inputs.get("decoder_input_ids", inputs.get("input_ids", torch.ones(2, 7).long()))
        return {"labels": read}


class TestBlipText(EncoderConformance):
    config_class = BlipTextConfig
    model_classes = (BlipTextModel,)
    sizes = TEXT
    counts_left_padding = True


class TestBlipVision(VisionConformance):
    config_class = BlipVisionConfig
    model_classes = (BlipVisionModel,)
    sizes = VISION


def model(kind: Any, **changes: Any) -> Any:
    return TestBlipTasks().build(kind, **changes)


def pixels(rows: int = 2) -> torch.Tensor:
    return TestBlipTasks().pixels(BlipVisionConfig(**VISION), rows)


def test_halves_meet():
    subject = TestBlip()
    both = subject.build(BlipModel)
    check_sides(both, subject.inputs(BlipModel, both.config))


@pytest.mark.parametrize(
    "options", [{}, {"num_beams": 3}, {"num_return_sequences": 2, "num_beams": 2}]
)
def test_a_cache_changes_no_text(options: dict[str, Any]):
    captions = model(BlipForConditionalGeneration)
    options = {**options, "max_new_tokens": 6, "min_new_tokens": 6}
    begun = {"input_ids": torch.tensor([[90, 7, 8, END], [90, 9, 10, END]])}
    cached = captions.generate(pixels(), **begun, **options)
    assert torch.equal(cached, captions.generate(pixels(), **begun, use_cache=False, **options))
    assert cached[0, :3].tolist() == [BEGIN, 7, 8]
    answers = model(BlipForQuestionAnswering)
    cached = answers.generate(begun["input_ids"], pixels(), **options)
    plain = answers.generate(begun["input_ids"], pixels(), use_cache=False, **options)
    assert torch.equal(cached, plain)


def test_what_the_decoder_sees_is_projected_once():
    captions = model(BlipForConditionalGeneration)
    projection = captions.text_decoder.bert.encoder.layer[0].crossattention.self.key
    calls = []
    projection.register_forward_hook(lambda *arguments: calls.append(1))
    captions.generate(pixels(), max_new_tokens=5, min_new_tokens=5)
    assert len(calls) == 1


def test_ignored_answers_are_read_as_padding():
    answers = model(BlipForQuestionAnswering)
    question = torch.tensor([[5, 6, 7]])
    given = {"pixel_values": pixels(1), "labels": torch.tensor([[BEGIN, 6, END, -100]])}
    padded = {**given, "decoder_input_ids": torch.tensor([[BEGIN, 6, END, 0]])}
    torch.testing.assert_close(answers(question, **given).loss, answers(question, **padded).loss)


def test_the_reduction_may_be_left_out():
    decoder = model(BlipForConditionalGeneration).text_decoder
    ids = torch.tensor([[BEGIN, 5, 6], [BEGIN, 7, 8]])
    states = torch.ones(2, 4, 32)
    losses = decoder(ids, encoder_hidden_states=states, labels=ids, reduction="none").loss
    mean = decoder(ids, encoder_hidden_states=states, labels=ids).loss
    assert losses.shape == (2,)
    torch.testing.assert_close(losses.sum() / 4, mean)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"hidden_size=16 and text_config\.hidden_size=32"):
        BlipForQuestionAnswering(
            BlipConfig(**{**SIZES, "vision_config": VISION | {"hidden_size": 16}})
        )
    with pytest.raises(ValueError, match="Give labels or decoder_input_ids"):
        model(BlipForQuestionAnswering)(torch.ones(1, 3).long(), pixels(1))
    with pytest.raises(GenerationError, match="first and the last token"):
        model(BlipForConditionalGeneration).generate(pixels(1), torch.ones(1, 1).long())
    deaf = BlipTextModel(BlipTextConfig(**TEXT, is_decoder=False))
    with pytest.raises(ValueError, match="is_decoder=False"):
        deaf(torch.ones(1, 3).long(), encoder_hidden_states=torch.ones(1, 2, 32))
    with pytest.raises(ValueError, match="pixel_values is None"):
        model(BlipForImageTextRetrieval)(torch.ones(1, 3).long())
