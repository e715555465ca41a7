"""DPT passes the battery; and what is peculiar to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from dovetail import (
    BitConfig,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    DPTForSemanticSegmentation,
    DPTModel,
)
from dovetail.errors import ConfigError
from dovetail.testing.conformance import VisionConformance

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "image_size": 32,
    "patch_size": 8,
    "backbone_out_indices": [0, 1, 2, 3],
    "neck_hidden_sizes": [8, 8, 12, 12],
    "fusion_hidden_size": 8,
    "num_labels": 3,
}
BIT = {
    "embedding_size": 8,
    "hidden_sizes": [8, 16, 24],
    "depths": [1, 1, 1],
    "num_groups": 2,
    "layer_type": "bottleneck",
    "global_padding": "same",
    "embedding_dynamic_padding": True,
    "out_features": ["stage1", "stage2", "stage3"],
}
HYBRID = {
    "is_hybrid": True,
    "patch_size": 16,
    "neck_hidden_sizes": [8, 16, 12, 12],
    "backbone_featmap_shape": [1, 24, 2, 2],
    "backbone_config": BIT,
}
DINO = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "mlp_ratio": 1,
    "image_size": 28,
    "patch_size": 7,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
    "reshape_hidden_states": False,
}


class TestDPT(VisionConformance):
    config_class = DPTConfig
    model_classes = (DPTModel, DPTForDepthEstimation, DPTForSemanticSegmentation)
    sizes = SIZES
    unused = (r"\.key\.bias", r"dpt\.layernorm", r"fusion_stage\.layers\.0\.residual_layer1")

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if model_class is not DPTForSemanticSegmentation:
            return {}
        rows = len(inputs.get("pixel_values", range(2)))
        return {"labels": (torch.arange(32 * 32) % 3).view(32, 32).expand(rows, -1, -1)}


def model(cls: Any = DPTForDepthEstimation, **changes: Any) -> Any:
    torch.manual_seed(0)
    return cls(DPTConfig(**{**SIZES, **changes})).eval()


def test_pictures_of_any_aspect_are_read():
    with torch.no_grad():
        assert model()(torch.randn(1, 3, 32, 48)).predicted_depth.shape == (1, 64, 96)
        depths = model(**HYBRID)(torch.randn(1, 3, 32, 64)).predicted_depth
    assert depths.shape == (1, 32, 64)


@pytest.mark.parametrize("cls", [DPTForDepthEstimation, DPTForSemanticSegmentation])
def test_any_backbone_may_stand_in_place_of_the_body(cls: Any):
    backed = model(cls, backbone_config=Dinov2Config(**DINO))
    output = backed(torch.randn(2, 3, 28, 42), output_hidden_states=True)
    assert output[0].shape[-2:] == (64, 96)
    assert len(output.hidden_states) == 5
    assert backed.get_input_embeddings() is backed.backbone.embeddings.patch_embeddings
    assert (backed.config.use_autobackbone, backed.config.backbone_out_indices) == (True, None)


def test_a_projection_may_come_first():
    assert model(add_projection=True).head.projection.weight.shape == (8, 8, 3, 3)


def test_a_hybrid_has_a_bit_unless_it_says_otherwise():
    own = DPTConfig(is_hybrid=True).backbone_config
    assert isinstance(own, BitConfig)
    assert (own.depths, own.global_padding) == ([3, 4, 9], "SAME")
    assert DPTConfig(is_hybrid=True, backbone_config=own).backbone_config is own


def test_depths_have_no_loss():
    with pytest.raises(ValueError, match="depth estimation has no loss"):
        model()(torch.zeros(1, 3, 32, 32), labels=torch.zeros(1, 32, 32))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"backbone_out_indices": [1, 2, 3]}, "must be 4, one for each of neck_hidden_sizes"),
        ({"backbone_out_indices": [1, 2, 3, 4]}, "must name layers from 0 to 3"),
        ({"reassemble_factors": [4, 2, 1]}, "one entry for each stage of the neck"),
        ({"head_in_index": 4}, "head_in_index=4 is none of the 4 stages"),
        ({**HYBRID, "readout_type": "add"}, "is_hybrid=True needs 'project'"),
        ({**HYBRID, "backbone_featmap_shape": None}, "backbone_featmap_shape=.* must be the shape"),
        (
            {"backbone_config": Dinov2Config(**DINO | {"out_features": ["stage4"]})},
            r"backbone_config.out_features=\['stage4'\] must be 4",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        model(**wrong)
