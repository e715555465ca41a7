"""DETR passes the battery; and what is peculiar to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.models_vision.detectors import (
    OWN_BACKBONE,
    STAGES,
    DetectorConformance,
    objects,
    resnet,
)

from dovetail import DetrConfig, DetrForObjectDetection, DetrForSegmentation, DetrModel
from dovetail.errors import ConfigError, MissingPackageError

SIZES = {
    **OWN_BACKBONE,
    "backbone_config": resnet(*STAGES),
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "num_queries": 5,
}


class TestDetr(DetectorConformance):
    config_class = DetrConfig
    model_classes = (DetrModel, DetrForObjectDetection, DetrForSegmentation)
    sizes = SIZES
    unused = (r"conv_encoder", r"k_(proj|linear)\.bias", r"decoder\.layers\.0\.self_attn\.v_proj")


def model(cls: Any = DetrForObjectDetection, **changes: Any) -> Any:
    torch.manual_seed(0)
    return cls(DetrConfig(**{**SIZES, **changes})).eval()


def pictures(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_what_is_padding_is_not_seen():
    body = model(DetrModel)
    mask = torch.ones(2, 64, 64)
    mask[1, :, 32:] = 0
    with torch.no_grad():
        picture, _ = body.look(pictures(), mask)
        hidden = ~picture.mask
        assert hidden.tolist() == [[False] * 4, [False, True] * 2]
        changed = picture.states + 5 * hidden[..., None]
        output, _ = body.read(picture._replace(states=changed))
        expected, _ = body.read(picture)
    torch.testing.assert_close(output[0], expected[0])


def test_a_picture_without_objects_has_a_loss():
    empty = {"class_labels": torch.empty(0).long(), "boxes": torch.empty(0, 4)}
    for labels in ([empty, empty], [objects()[0], empty]):
        output = model()(pictures(), labels=labels)
        assert torch.isfinite(output.loss)
    assert output.loss_dict["loss_bbox"] > 0


def test_auxiliary_losses_are_named_by_their_layer():
    output = model(auxiliary_loss=True)(pictures(), labels=objects())
    assert {name for name in output.loss_dict if name.endswith("_0")} == {
        "loss_ce_0",
        "loss_bbox_0",
        "loss_giou_0",
        "cardinality_error_0",
    }
    assert len(output.auxiliary_outputs) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (objects()[:1], r"labels describe 1 pictures, but 2 are given"),
        ([{"boxes": torch.zeros(0, 4)}] * 2, r"labels\[0\] lacks \['class_labels'\]"),
        ([{**objects()[0], "class_labels": torch.tensor([0, 2])}] * 2, r"from 0 to 1"),
        ([{**objects()[0], "boxes": torch.zeros(2, 5)}] * 2, r"boxes have the shape \(2, 5\)"),
        ([{**objects()[0], "boxes": -torch.ones(2, 4)}] * 2, r"end before they start"),
    ],
)
def test_labels_that_cannot_be_are_refused(labels: Any, message: str):
    with pytest.raises(ValueError, match=message):
        model()(pictures(), labels=labels)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"pixel_mask has the shape \(2, 32, 64\)"):
        model()(pictures(), torch.ones(2, 32, 64))


def test_learned_positions_say_how_large_pictures_may_be():
    body = model(DetrModel, position_embedding_type="learned")
    with pytest.raises(ValueError, match=r"go up to 50"):
        body(torch.zeros(1, 3, 32, 1700))


def test_masks_need_the_larger_maps():
    with pytest.raises(ValueError, match=r"out_features name all four stages"):
        model(DetrForSegmentation, backbone_config=resnet("stage4"))


def test_a_backbone_is_described_once():
    with pytest.raises(ConfigError, match="both describe the backbone"):
        DetrConfig(backbone_config=resnet("stage4"), use_timm_backbone=True)


def test_a_timm_backbone_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dovetail_models_vision.detection.backbone.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install timm"):
        DetrModel(DetrConfig())


def test_configs_find_their_backbone():
    config = DetrConfig(use_timm_backbone=False)
    assert config.backbone_config.out_features == ["stage4"]
    assert (config.backbone, config.dilation) == (None, None)
    named = DetrConfig(use_timm_backbone=False, backbone="microsoft/resnet-50")
    assert (named.backbone, named.backbone_config) == ("microsoft/resnet-50", None)
    dilated = DetrConfig(dilation=True, num_channels=4)
    assert dilated.backbone_kwargs == {
        "output_stride": 16,
        "out_indices": [1, 2, 3, 4],
        "in_chans": 4,
    }


def test_the_backbone_can_be_frozen_and_trained():
    body = model(DetrModel)
    body.unfreeze_backbone()
    assert all(weight.requires_grad for weight in body.backbone.parameters())
    body.freeze_backbone()
    assert not any(weight.requires_grad for weight in body.backbone.parameters())
