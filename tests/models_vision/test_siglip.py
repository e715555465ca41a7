"""SigLIP passes the batteries for two towers and for classifiers, and judges each pair alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_vision.towers import TEXT, VISION, TwoTowersConformance, check_sides

from dovetail import SiglipConfig, SiglipForImageClassification, SiglipModel, SiglipVisionModel
from dovetail.testing.conformance import VisionConformance

SIZES = {"text_config": TEXT, "vision_config": VISION}


class TestSiglip(TwoTowersConformance):
    config_class = SiglipConfig
    model_classes = (SiglipModel,)
    sizes = SIZES


class TestSiglipClassifier(VisionConformance):
    config_class = SiglipConfig
    model_classes = (SiglipForImageClassification,)
    sizes = SIZES
    unused = (r"\.head\.",)


def test_halves_meet():
    subject = TestSiglip()
    model = subject.build(SiglipModel)
    check_sides(model, subject.inputs(SiglipModel, model.config))


def test_a_half_reads_the_whole(tmp_path: Path):
    whole = TestSiglip().build(SiglipModel)
    whole.save_pretrained(tmp_path)
    pixels = torch.ones(1, 3, 16, 16)
    vision, report = SiglipVisionModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    torch.testing.assert_close(vision(pixels)[0], whole.vision_model(pixels)[0])


def test_pairs_are_judged_one_by_one():
    subject = TestSiglip()
    model = subject.build(SiglipModel)
    inputs = subject.inputs(SiglipModel, model.config)
    similarity = model(**inputs).logits_per_text
    right = torch.eye(2).bool()
    expected = torch.where(right, similarity.sigmoid(), 1 - similarity.sigmoid()).log()
    loss = model(**inputs, return_loss=True).loss
    torch.testing.assert_close(loss, -expected.sum() / 2)


def test_padding_stands_for_a_text_unless_masked():
    model = TestSiglip().build(SiglipModel)
    ids = torch.tensor([[5, 6, 98, 1, 1]])
    states = model.text_model(ids)
    torch.testing.assert_close(
        states.pooler_output, model.text_model.head(states.last_hidden_state[:, -1])
    )


@pytest.mark.parametrize("ids", [None, torch.ones(1, 17).long(), torch.ones(3).long()])
def test_texts_of_another_shape_are_refused(ids: Any):
    with pytest.raises(ValueError, match="input_ids"):
        TestSiglip().build(SiglipModel).text_model(ids)
