"""ViT passes the battery for models that read images."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dovetail import ViTConfig, ViTForImageClassification, ViTForMaskedImageModeling, ViTModel
from dovetail.testing.conformance import VisionConformance

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "image_size": 16,
    "patch_size": 4,
    "encoder_stride": 4,
}


class TestViT(VisionConformance):
    config_class = ViTConfig
    model_classes = (ViTModel, ViTForImageClassification, ViTForMaskedImageModeling)
    sizes = SIZES

    def labels(self, model_class: Any, config: Any, inputs: Any) -> dict[str, Any]:
        if model_class is ViTForMaskedImageModeling:
            return {"bool_masked_pos": torch.arange(32).view(2, 16) % 3 == 0}
        return super().labels(model_class, config, inputs)


def model(**config: Any) -> ViTModel:
    return ViTModel(ViTConfig(**{**SIZES, **config})).eval()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 4, 16, 16), r"must be \(batch, 3, height, width\)"),
        ((3, 16, 16), r"must be \(batch, 3, height, width\)"),
        ((1, 3, 16, 20), "16 by 20 pixels, where the model reads 16 by 16"),
    ],
)
def test_images_of_another_shape_are_refused(shape: tuple[int, ...], words: str):
    with pytest.raises(ValueError, match=words):
        model()(torch.zeros(shape))


def test_images_smaller_than_a_patch_are_refused():
    with pytest.raises(ValueError, match="less than one patch"):
        model()(torch.zeros(1, 3, 16, 3), interpolate_pos_encoding=True)


def test_hidden_patches_need_a_mask_token():
    with pytest.raises(ValueError, match="use_mask_token=True"):
        model()(torch.zeros(1, 3, 16, 16), bool_masked_pos=torch.zeros(1, 16))


def test_images_and_patches_may_be_oblong():
    oblong = model(image_size=[16, 24], patch_size=[8, 4])
    output = oblong(torch.zeros(1, 3, 16, 24))
    assert output.last_hidden_state.shape == (1, 2 * 6 + 1, 32)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"num_attention_heads": 5}, "num_attention_heads=5 does not divide hidden_size=32"),
        ({"patch_size": 17}, "patch_size=17 is larger than image_size=16"),
        ({"image_size": [16, 16, 16]}, "height and width"),
    ],
)
def test_impossible_sizes_are_refused(setting: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        ViTConfig(**{**SIZES, **setting})


def test_painting_needs_as_many_pixels_as_a_patch_has():
    config = ViTConfig(**{**SIZES, "encoder_stride": 8})
    with pytest.raises(ValueError, match="encoder_stride=8 must equal patch_size=4"):
        ViTForMaskedImageModeling(config)(
            torch.zeros(1, 3, 16, 16), bool_masked_pos=torch.zeros(1, 16)
        )
