"""Mask2Former passes the battery; and what is peculiar to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from tests.models_vision.detectors import STAGES, resnet

from dovetail import (
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
    Mask2FormerModel,
    SwinConfig,
)
from dovetail.errors import ConfigError, ProcessorError
from dovetail.testing import seeded
from dovetail.testing.conformance import VisionConformance
from dovetail.testing.subject import expect
from dovetail_models_vision.mask2former.decoder import outside_of
from dovetail_models_vision.mask2former.losses import sampled

SIZES: dict[str, Any] = {
    "backbone_config": resnet(*STAGES),
    "feature_size": 32,
    "mask_feature_size": 12,
    "hidden_dim": 32,
    "encoder_feedforward_dim": 20,
    "encoder_layers": 1,
    "decoder_layers": 5,
    "num_attention_heads": 4,
    "dim_feedforward": 24,
    "num_queries": 6,
    "train_num_points": 40,
    "num_labels": 3,
}


def objects(rows: int = 2) -> dict[str, Any]:
    """Labels of two pictures, two objects in one and one in the other."""
    classes = [torch.tensor([1, 0]), torch.tensor([2])]
    masks = [
        torch.from_numpy(seeded.integers(f"masks.{index}", (len(each), 32, 32), 0, 2)).float()
        for index, each in enumerate(classes)
    ]
    return {"class_labels": classes[:rows], "mask_labels": masks[:rows]}


class TestMask2Former(VisionConformance):
    config_class = Mask2FormerConfig
    model_classes = (Mask2FormerModel, Mask2FormerForUniversalSegmentation)
    sizes = SIZES
    unused = (r"k_proj\.bias", r"input_projections\.\d\.0\.bias")

    def pixels(self, config: Any, batch: int = 2) -> torch.Tensor:
        return torch.from_numpy(seeded.noise("pixels", (batch, 3, 64, 64)))

    def inputs(
        self, model_class: Any, config: Any, batch: int = 2, length: int = 7
    ) -> dict[str, Any]:
        torch.manual_seed(0)  # the points of the loss
        return {"pixel_values": self.pixels(config, batch)}

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if model_class is Mask2FormerModel:
            return {}
        return objects(len(inputs.get("pixel_values", range(2))))

    def test_hidden_states_and_attentions_are_recorded(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        output = self.run(model, inputs, output_hidden_states=True, output_attentions=True)
        counts = {name: len(output[name]) for name in output if name.endswith("hidden_states")}
        wanted = {
            "encoder_hidden_states": 4,
            "pixel_decoder_hidden_states": 3,
            "transformer_decoder_hidden_states": 5,
        }
        expect(counts == wanted, f"{counts} hidden states")
        expect(len(output.attentions) == 4, f"{len(output.attentions)} attentions")


def model(cls: Any = Mask2FormerForUniversalSegmentation, **changes: Any) -> Any:
    torch.manual_seed(0)
    return cls(Mask2FormerConfig(**{**SIZES, **changes})).eval()


PICTURES = torch.from_numpy(seeded.noise("pixels", (2, 3, 64, 64)))


def test_a_query_without_a_mask_sees_everything():
    masks = torch.full((1, 2, 4, 4), -1.0)
    masks[0, 1, :2] = 1
    outside = outside_of(masks, (2, 2))
    assert outside.tolist() == [[[[False] * 4, [False, False, True, True]]]]


def test_masks_are_read_between_the_middles_of_pixels():
    mask = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    points = torch.tensor([[[0.25, 0.25], [0.75, 0.75], [0.5, 0.5]]])
    assert sampled(mask, points).tolist() == [[0.0, 3.0, 1.5]]


def test_earlier_predictions_are_judged_unless_the_config_says_otherwise():
    torch.manual_seed(0)
    every = model()(PICTURES, **objects()).loss
    alone = model(use_auxiliary_loss=False)(PICTURES, **objects()).loss
    assert 0 < alone < every


def test_earlier_predictions_are_shown_on_request():
    output = model(output_auxiliary_logits=True)(PICTURES)
    shapes = [{name: tuple(value.shape) for name, value in one.items()} for one in
              output.auxiliary_logits]  # fmt: skip
    assert (
        shapes == [{"masks_queries_logits": (2, 6, 16, 16), "class_queries_logits": (2, 6, 4)}] * 4
    )
    assert model()(PICTURES).auxiliary_logits is None


def test_a_picture_without_objects_has_a_loss():
    labels = objects()
    labels["class_labels"][1] = torch.empty(0).long()
    labels["mask_labels"][1] = torch.empty(0, 32, 32)
    assert torch.isfinite(model()(PICTURES, **labels).loss)


def test_widths_of_maps_and_queries_may_differ():
    output = model(Mask2FormerModel, hidden_dim=16)(PICTURES)
    assert output.transformer_decoder_last_hidden_state.shape == (2, 6, 16)
    same = model(Mask2FormerModel, enforce_input_projection=True).transformer_module
    assert same.input_projections[0].weight.shape == (32, 32, 1, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class_labels": [torch.tensor([0])]}, "class_labels describe 1 pictures, but 2"),
        (
            {"class_labels": [torch.tensor([0, 3]), torch.tensor([0])]},
            r"class_labels\[0\] are \[0, 3\] and must be from 0 to 2",
        ),
        (
            {"mask_labels": [torch.zeros(2, 8, 8), torch.zeros(2, 8, 8)]},
            r"mask_labels\[1\] has the shape \(2, 8, 8\) for 1 class_labels",
        ),
    ],
)
def test_labels_that_cannot_be_are_refused(change: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        model()(PICTURES, **{**objects(), **change})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"feature_size": 40}, "feature_size=40 must be a multiple of 32"),
        ({"hidden_dim": 30}, "hidden_dim=30 must be a multiple of num_attention_heads=4"),
        ({"feature_strides": [4, 8]}, r"feature_strides=\[4, 8\] must name at least 3"),
        ({"oversample_ratio": 0.5}, "oversample_ratio=0.5 must be at least 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        Mask2FormerConfig(**SIZES | wrong)


def test_a_swin_stands_behind_unless_something_is_said():
    assert Mask2FormerConfig().backbone_config.depths == [2, 2, 18, 2]
    config = Mask2FormerConfig.from_backbone_config(SwinConfig(depths=[1], num_heads=[2]))
    assert config.backbone_config.depths == [1]


MAP = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 0, 0], [3, 3, 0, 0]])
PICTURE = np.zeros((4, 4, 3), dtype=np.uint8)


def processed(maps: Any = MAP, classes: Any = None, **settings: Any) -> Any:
    made = Mask2FormerImageProcessor(size={"height": 4, "width": 4}, size_divisor=4, **settings)
    return made(PICTURE, maps, classes, return_tensors="pt")


def test_maps_become_masks_and_classes():
    found = processed(ignore_index=0)
    assert found["class_labels"][0].tolist() == [1, 2, 3]
    assert found["mask_labels"][0][0].tolist() == (MAP == 1).astype(float).tolist()
    reduced = processed(ignore_index=255, do_reduce_labels=True)
    assert reduced["class_labels"][0].tolist() == [0, 1, 2]
    named = processed(classes={0: 9, 1: 5, 2: 5, 3: 7})
    assert named["class_labels"][0].tolist() == [9, 5, 5, 7]
    both = processed(classes=[{1: 5, 2: 5, 3: 7}], ignore_index=255, do_reduce_labels=True)
    assert both["class_labels"][0].tolist() == [4, 4, 6]


def test_what_surrounds_a_picture_is_in_no_mask():
    made = Mask2FormerImageProcessor(do_resize=False, ignore_index=255)
    wide = np.zeros((2, 6, 3), dtype=np.uint8)
    found = made([PICTURE, wide], [MAP, np.ones((2, 6), dtype=int)], return_tensors="pt")
    assert found["pixel_values"].shape == (2, 3, 4, 6)
    assert found["mask_labels"][1].tolist() == [[[1.0] * 6] * 2 + [[0.0] * 6] * 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"maps": [MAP, MAP]}, "2 maps for 1 images"),
        ({"maps": MAP[:3]}, r"segmentation_maps\[0\]: an array of shape \(3, 4\)"),
        ({"classes": {0: 1, 1: 2}}, r"lacks the segments \[2, 3\], and knows \[0, 1\]"),
        ({"do_reduce_labels": True}, "do_reduce_labels=True needs ignore_index"),
    ],
)
def test_maps_that_cannot_be_are_refused(given: dict[str, Any], said: str):
    with pytest.raises(ProcessorError, match=said):
        processed(**given)


def test_things_are_asked_for_as_one_or_the_other():
    with pytest.raises(ProcessorError, match="cannot both be True"):
        Mask2FormerImageProcessor().post_process_instance_segmentation(
            None, return_coco_annotation=True, return_binary_maps=True
        )
