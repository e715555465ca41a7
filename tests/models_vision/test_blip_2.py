"""BLIP-2's classes pass their batteries; and what is peculiar to them."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from tests.models_vision.querying import (
    OPT,
    QFORMER,
    SIZES,
    T5,
    VISION,
    WriterConformance,
)

from dovetail import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2ForImageTextRetrieval,
    Blip2Model,
    Blip2QFormerConfig,
    Blip2QFormerModel,
    Blip2TextModelWithProjection,
    Blip2VisionConfig,
    Blip2VisionModel,
    Blip2VisionModelWithProjection,
    OPTConfig,
)
from dovetail.errors import ConfigError
from dovetail.testing import seeded
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.conformance import VisionConformance
from dovetail.testing.forward import ForwardTests

READING = {**QFORMER, "use_qformer_text_input": True}


class TestBlip2(WriterConformance):
    config_class = Blip2Config
    model_classes = (Blip2ForConditionalGeneration,)
    sizes: ClassVar[dict[str, Any]] = {**SIZES, "image_token_index": 4}


class TestBlip2InFront(WriterConformance):
    config_class = Blip2Config
    model_classes = (Blip2Model,)
    sizes = SIZES
    places = 0

    test_padding_on_the_left_changes_nothing = None  # type: ignore[assignment] # pictures are there


class TestBlip2WithT5(WriterConformance):
    config_class = Blip2Config
    model_classes = (Blip2ForConditionalGeneration,)
    sizes: ClassVar[dict[str, Any]] = {**SIZES, "text_config": T5, "image_token_index": 4}


class TestBlip2Comparers(CheckpointTests):
    config_class = Blip2Config
    model_classes = (
        Blip2ForImageTextRetrieval,
        Blip2TextModelWithProjection,
        Blip2VisionModelWithProjection,
    )
    sizes: ClassVar[dict[str, Any]] = {
        **SIZES,
        "qformer_config": READING,
        "image_text_hidden_size": 20,
    }

    def inputs(self, model_class: Any, config: Any, batch: int = 2, length: int = 5) -> Any:
        words = torch.from_numpy(seeded.integers("words", (batch, length), 5, 60))
        pixels = torch.from_numpy(seeded.noise("pixels", (batch, 3, 16, 16)))
        inputs = {"pixel_values": pixels, "input_ids": words}
        if model_class is Blip2TextModelWithProjection:
            del inputs["pixel_values"]
        if model_class is Blip2VisionModelWithProjection:
            del inputs["input_ids"]
        return inputs


class TestBlip2QFormer(ForwardTests, CheckpointTests):
    config_class = Blip2QFormerConfig
    model_classes = (Blip2QFormerModel,)
    sizes: ClassVar[dict[str, Any]] = {**READING, "encoder_hidden_size": 40}

    test_half_precision_runs_and_stays_near = None  # type: ignore[assignment] # states are given
    test_pruned_heads_stay_pruned = None  # type: ignore[assignment] # a mask hides those of both

    def inputs(self, model_class: Any, config: Any, batch: int = 2, length: int = 7) -> Any:
        return {
            "query_embeds": torch.from_numpy(seeded.noise("queries", (batch, length, 24))),
            "encoder_hidden_states": torch.from_numpy(seeded.noise("seen", (batch, 5, 40))),
        }


class TestBlip2Vision(VisionConformance):
    config_class = Blip2VisionConfig
    model_classes = (Blip2VisionModel,)
    sizes = VISION


def test_configs_follow_from_their_parts():
    config = Blip2Config(text_config={"vocab_size": 99}, vision_config=VISION)
    assert (config.text_config.model_type, config.use_decoder_only_language_model) == ("opt", True)
    assert config.qformer_config.encoder_hidden_size == 40
    made = Blip2Config.from_vision_qformer_text_configs(
        Blip2VisionConfig(**VISION), Blip2QFormerConfig(), OPTConfig(vocab_size=50)
    )
    assert made.text_config.vocab_size == 50
    assert Blip2Config(text_config=T5).is_encoder_decoder


@pytest.mark.parametrize("matching", [False, True])
def test_retrieval_compares_all_or_pairs(matching: bool):
    subject = TestBlip2Comparers()
    model = subject.build(Blip2ForImageTextRetrieval)
    inputs = subject.inputs(Blip2ForImageTextRetrieval, model.config)
    output = subject.run(model, inputs, use_image_text_matching_head=matching)
    assert output.logits_per_image.shape == (2, 2)
    torch.testing.assert_close(output.logits_per_text, output.logits_per_image.t())
    mask = torch.ones_like(inputs["input_ids"])
    masked = subject.run(model, inputs, attention_mask=mask, use_image_text_matching_head=matching)
    torch.testing.assert_close(masked.logits_per_image, output.logits_per_image)


def test_what_cannot_be_is_refused():
    subject = TestBlip2()
    model = subject.build(Blip2ForConditionalGeneration)
    inputs = subject.inputs(Blip2ForConditionalGeneration, model.config)
    with pytest.raises(ValueError, match=r"6 image tokens .* make 3 features"):
        model(inputs["pixel_values"][:1], inputs["input_ids"])
    with pytest.raises(ValueError, match="input_ids is None"):
        model(inputs["pixel_values"])
    with pytest.raises(TypeError, match="takes no argument output_attention"):
        model(**inputs, output_attention=True)
    front = subject.build(Blip2Model, text_config=OPT)
    with pytest.raises(ValueError, match="2 texts and pixel_values belong to 1"):
        front(inputs["pixel_values"][:1], inputs["input_ids"])
    with pytest.raises(ConfigError, match="use_qformer_text_input=False"):
        Blip2ForImageTextRetrieval(Blip2Config(**SIZES))
