"""InstructBLIP's classes pass their batteries; and what is peculiar to them."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from tests.models_vision.querying import (
    OPT,
    PLACE,
    QFORMER,
    QUERIES,
    SIZES,
    T5,
    VISION,
    WriterConformance,
)
from torch import Tensor

from dovetail import (
    DynamicCache,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipQFormerConfig,
    InstructBlipQFormerModel,
    InstructBlipVisionConfig,
    InstructBlipVisionModel,
)
from dovetail.testing import seeded
from dovetail.testing.conformance import EncoderConformance, VisionConformance

MODEL = InstructBlipForConditionalGeneration
LLAMA = {
    "model_type": "llama",
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


def asked(rows: int) -> dict[str, Tensor]:
    """Instructions for the Q-Former."""
    return {"qformer_input_ids": torch.from_numpy(seeded.integers("asked", (rows, 6), 5, 60))}


class TestInstructBlip(WriterConformance):
    config_class = InstructBlipConfig
    model_classes = (MODEL,)
    sizes: ClassVar[dict[str, Any]] = {**SIZES, "image_token_index": PLACE}

    def asked(self, batch: int) -> dict[str, Tensor]:
        return asked(batch)


class TestInstructBlipWithT5(TestInstructBlip):
    sizes: ClassVar[dict[str, Any]] = {**SIZES, "image_token_index": PLACE, "text_config": T5}


class TestInstructBlipQFormer(EncoderConformance):
    config_class = InstructBlipQFormerConfig
    model_classes = (InstructBlipQFormerModel,)
    sizes: ClassVar[dict[str, Any]] = {**QFORMER, "encoder_hidden_size": 40}

    test_embeddings_may_be_given_in_place_of_ids = None  # type: ignore[assignment] # it takes none
    test_texts_without_tokens_are_refused = None  # type: ignore[assignment] # queries are enough


class TestInstructBlipVision(VisionConformance):
    config_class = InstructBlipVisionConfig
    model_classes = (InstructBlipVisionModel,)
    sizes = VISION


def test_a_text_may_have_several_pictures():
    subject = TestInstructBlip()
    model = subject.build(MODEL)
    pixels = torch.from_numpy(seeded.noise("pixels", (3, 3, 16, 16)))
    places = [PLACE] * QUERIES
    row = [2, *places, 7, *places, 8, *places, 9]
    given = {"pixel_values": pixels, "input_ids": torch.tensor([row]), **asked(3)}
    output = subject.run(model, given)
    assert output.logits.shape == (1, len(row), 99)
    turned = {**given, "pixel_values": pixels.flip(0)}
    assert not torch.allclose(subject.run(model, turned).logits, output.logits)
    for options in ({}, {"num_beams": 3}):
        options = {**options, "max_new_tokens": 5, "min_new_tokens": 5}
        written = model.generate(**given, **options)
        assert torch.equal(written, model.generate(**given, use_cache=False, **options))
        assert written.shape == (1, 6)


@pytest.mark.parametrize("text", [OPT, LLAMA], ids=["opt", "llama"])
def test_a_second_turn_goes_on_from_a_cache(text: dict[str, Any]):
    model = TestInstructBlip().build(MODEL, text_config=text)
    given = TestInstructBlip().inputs(MODEL, model.config, batch=1)
    cache, few = DynamicCache(), {"max_new_tokens": 4, "min_new_tokens": 4}
    first = model.generate(**given, **few, past_key_values=cache)
    assert torch.equal(first, model.generate(**given, **few))
    ids = torch.cat((given["input_ids"], first[:, 1:], torch.tensor([[11, 12, 13]])), 1)
    turn = {**given, "input_ids": ids}
    expected = model.generate(**turn, **few)
    assert torch.equal(model.generate(**turn, **few, past_key_values=cache), expected)
    assert cache.get_seq_length() == ids.shape[1] + 3


def test_what_cannot_be_is_refused():
    subject = TestInstructBlip()
    model = subject.build(MODEL)
    given = subject.inputs(MODEL, model.config)
    wrong: dict[str, Any]
    for wrong, message in (
        ({"pixel_values": None}, "pixel_values is None"),
        ({"qformer_input_ids": None}, "qformer_input_ids is None"),
        (
            {"qformer_input_ids": given["qformer_input_ids"][:1]},
            "1 instructions and pixel_values 2",
        ),
        ({"input_ids": given["input_ids"][:, 2:]}, "4 image tokens .* make 6 features"),
        ({"input_ids": None}, "input_ids is None"),
    ):
        with pytest.raises(ValueError, match=message):
            model(**{**given, **wrong})


def test_the_first_vicuna_begins_texts_otherwise():
    text = {**T5, "architectures": ["LLaMAForCausalLM"]}
    model = TestInstructBlip().build(MODEL, text_config=text)
    assert model.begin() == 2
