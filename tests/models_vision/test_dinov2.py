"""DINOv2 passes the battery for models that read images, and its backbone gives maps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dovetail import (
    AutoBackbone,
    Dinov2Backbone,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
)
from dovetail.layers.residual import DropPath
from dovetail.testing.conformance import VisionConformance
from dovetail.testing.stages import rows

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "mlp_ratio": 2,
    "image_size": 16,
    "patch_size": 4,
}


class TestDinov2(VisionConformance):
    config_class = Dinov2Config
    model_classes = (Dinov2Model, Dinov2ForImageClassification, Dinov2Backbone)
    sizes = SIZES | {"out_features": ["stage1", "stage2"]}
    unused = (r"mask_token",)

    def run(self, model: Any, inputs: Any, **changes: Any) -> Any:
        output = super().run(model, inputs, **changes)
        if "feature_maps" in output:
            output.feature_maps = rows(output.feature_maps)
        elif isinstance(output, tuple) and isinstance(output[0], tuple):
            output = (rows(output[0]), *output[1:])
        return output


class TestGatedDinov2(VisionConformance):
    config_class = Dinov2Config
    model_classes = (Dinov2ForImageClassification,)
    sizes = SIZES | {"use_swiglu_ffn": True}
    unused = (r"mask_token",)


@pytest.mark.parametrize("pixels", [(16, 16), (12, 24)])
def test_maps_are_images_of_patches(pixels: tuple[int, int]):
    backbone = AutoBackbone.from_config(Dinov2Config(**SIZES, out_indices=[0, 2]))
    assert isinstance(backbone, Dinov2Backbone)
    maps = backbone(torch.zeros(1, 3, *pixels)).feature_maps
    assert backbone.channels == [32, 32]
    assert [each.shape for each in maps] == [(1, 32, pixels[0] // 4, pixels[1] // 4)] * 2


def test_whole_images_are_dropped_in_training_only():
    torch.manual_seed(0)
    drop = DropPath(0.5)
    kept = drop.train()(torch.ones(64, 3, 2)).view(64, -1)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert (kept == kept[:, :1]).all()
    assert torch.equal(drop.eval()(torch.ones(2, 3)), torch.ones(2, 3))
