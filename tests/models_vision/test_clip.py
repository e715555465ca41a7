"""CLIP passes the batteries for two towers and for classifiers, and reads its checkpoints by
halves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_vision.towers import TEXT, VISION, TwoTowersConformance, check_sides

from dovetail import (
    CLIPConfig,
    CLIPForImageClassification,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModel,
)
from dovetail.errors import MismatchError
from dovetail.testing.conformance import VisionConformance

SIZES = {
    "text_config": TEXT | {"hidden_size": 24},
    "vision_config": VISION,
    "projection_dim": 20,
}


class TestCLIP(TwoTowersConformance):
    config_class = CLIPConfig
    model_classes = (CLIPModel,)
    sizes = SIZES


class TestCLIPClassifier(VisionConformance):
    config_class = CLIPConfig
    model_classes = (CLIPForImageClassification,)
    sizes = SIZES
    unused = (r"post_layernorm",)


def test_halves_meet():
    subject = TestCLIP()
    model = subject.build(CLIPModel)
    check_sides(model, subject.inputs(CLIPModel, model.config))


def test_a_half_reads_the_whole(tmp_path: Path):
    whole = TestCLIP().build(CLIPModel)
    whole.save_pretrained(tmp_path)
    pixels = torch.ones(1, 3, 16, 16)
    vision, report = CLIPVisionModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    torch.testing.assert_close(vision(pixels)[0], whole.vision_model(pixels)[0])
    with pytest.raises(MismatchError, match="text_projection"):
        CLIPTextModelWithProjection.from_pretrained(tmp_path)  # its projection_dim is another


def test_the_first_checkpoints_end_a_text_at_its_highest_id():
    first = TestCLIP().build(CLIPModel, text_config=TEXT | {"eos_token_id": 2})
    ids = torch.tensor([[97, 5, 98, 2, 2]])
    torch.testing.assert_close(
        first.text_model(ids).pooler_output, first.text_model(ids).last_hidden_state[:, 2]
    )


def test_old_files_that_repeat_a_half():
    config = CLIPConfig(text_config={"hidden_size": 16}, text_config_dict=TEXT)
    assert config.text_config.hidden_size == 32
    assert "text_config_dict" not in config.to_dict()
    made = CLIPConfig.from_text_vision_configs(CLIPTextConfig(**TEXT), CLIPVisionConfig(**VISION))
    assert (made.text_config.vocab_size, made.vision_config.image_size) == (99, 16)


@pytest.mark.parametrize("ids", [None, torch.ones(1, 17).long(), torch.ones(3).long()])
def test_texts_of_another_shape_are_refused(ids: Any):
    with pytest.raises(ValueError, match="input_ids"):
        TestCLIP().build(CLIPModel).text_model(ids)


def test_attention_is_chosen_for_both_halves():
    model = CLIPModel._from_config(CLIPConfig(**SIZES), attn_implementation="eager")
    assert model.text_model.config._attn_implementation == "eager"
    assert model.vision_model.config._attn_implementation == "eager"
