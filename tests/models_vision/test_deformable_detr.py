"""Deformable DETR passes the battery in each of its forms; and what is peculiar to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.models_vision.detectors import OWN_BACKBONE, DeformableConformance, resnet

from dovetail import (
    DeformableDetrConfig,
    DeformableDetrForObjectDetection,
    DeformableDetrModel,
)
from dovetail.errors import ConfigError
from dovetail.testing.subject import expect_close
from dovetail_models_vision.detection.deformable import sample_maps

SIZES = {
    **OWN_BACKBONE,
    "backbone_config": resnet("stage2", "stage3", "stage4"),
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "num_queries": 5,
    "encoder_n_points": 2,
    "decoder_n_points": 3,
}
TWO_STAGES = {"two_stage": True, "with_box_refine": True, "two_stage_num_proposals": 4}


class FourLevels(DeformableConformance):
    config_class = DeformableDetrConfig
    unused = (r"conv_encoder", r"k_proj\.bias", r"input_proj\.3\.0")

    def test_hidden_states_and_attentions_are_recorded(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        output = self.run(model, inputs, output_hidden_states=True, output_attentions=True)
        for part in ("encoder", "decoder"):
            assert len(output[f"{part}_hidden_states"]) == 3
        for name, points in (("encoder_attentions", 2), ("cross_attentions", 3)):
            assert len(output[name]) == 2
            for weights in output[name]:
                assert weights.shape[-2:] == (4, points)
                total = weights.sum((-1, -2))
                expect_close(total, torch.ones_like(total), name, 1e-5)


class TestDeformableDetr(FourLevels):
    model_classes = (DeformableDetrModel, DeformableDetrForObjectDetection)
    sizes = SIZES


class TestTwoStages(FourLevels):
    model_classes = (DeformableDetrForObjectDetection,)
    sizes = SIZES | TWO_STAGES | {"auxiliary_loss": True}
    unused = (*FourLevels.unused, r"(class|bbox)_embed\.2\.", r"enc_output")


def test_points_of_maps_are_read_as_the_formula_says():
    torch.manual_seed(0)
    shapes = [(4, 6), (2, 3)]
    values = torch.randn(2, 30, 2, 5)
    # The middles of places, so that nothing is interpolated.
    column, row = torch.tensor([2, 1]), torch.tensor([3, 0])
    middles = torch.stack(
        [torch.stack(((column + 0.5) / w, (row.clamp(max=h - 1) + 0.5) / h), -1) for h, w in shapes]
    )
    locations = middles.expand(2, 1, 2, 2, 2, 2)
    weights = torch.rand(2, 1, 2, 2, 2)
    expected = torch.zeros(2, 1, 2, 5)
    for level, (start, (height, width)) in enumerate(zip((0, 24), shapes, strict=True)):
        for point in range(2):
            place = start + int(row.clamp(max=height - 1)[point]) * width + int(column[point])
            expected += weights[:, :, :, level, point, None] * values[:, None, place]
    found = sample_maps(values, shapes, locations, weights)
    torch.testing.assert_close(found, expected.flatten(2))


def test_what_the_first_stage_proposes_is_shown():
    model = DeformableDetrForObjectDetection(DeformableDetrConfig(**SIZES, **TWO_STAGES)).eval()
    output = model(torch.randn(2, 3, 64, 64))
    assert output.enc_outputs_class.shape == (2, 85, 2)
    assert output.init_reference_points.shape == (2, 4, 4)


def test_each_map_of_the_backbone_needs_a_level():
    with pytest.raises(ValueError, match=r"returns 3 maps, config.num_feature_levels is 2"):
        DeformableDetrModel(DeformableDetrConfig(**SIZES, num_feature_levels=2))


def test_two_stages_need_refined_boxes_and_heads():
    with pytest.raises(ConfigError, match="needs with_box_refine=True"):
        DeformableDetrConfig(two_stage=True)
    body = DeformableDetrModel(DeformableDetrConfig(**SIZES, **TWO_STAGES))
    with pytest.raises(ValueError, match="use DeformableDetrForObjectDetection"):
        body(torch.zeros(1, 3, 64, 64))
