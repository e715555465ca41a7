"""ConvNeXt passes the battery for models that work in stages."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dovetail import (
    ConvNextBackbone,
    ConvNextConfig,
    ConvNextForImageClassification,
    ConvNextModel,
)
from dovetail.errors import ConfigError
from dovetail.layers.residual import DropPath
from dovetail.testing.stages import StagedConformance

SIZES: dict[str, Any] = {
    "hidden_sizes": [8, 16, 32],
    "depths": [1, 2, 1],
    "num_stages": 3,
    "image_size": 32,
    "num_labels": 3,
    "layer_scale_init_value": 0.1,
}


class TestConvNext(StagedConformance):
    config_class = ConvNextConfig
    model_classes = (ConvNextModel, ConvNextForImageClassification, ConvNextBackbone)
    sizes = SIZES


@pytest.mark.parametrize("key", ["hidden_sizes", "depths"])
def test_each_stage_has_a_width_and_a_depth(key: str):
    with pytest.raises(ConfigError, match=f"{key}=.* one entry for each of num_stages=3"):
        ConvNextConfig(**{**SIZES, key: [4, 4]})


def test_layers_are_dropped_more_often_the_deeper_they_are():
    model = ConvNextModel(ConvNextConfig(**SIZES, drop_path_rate=0.3))
    rates = [module.rate for module in model.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_stage_chosen_late_has_no_norm():
    model = ConvNextBackbone(ConvNextConfig(**SIZES)).eval()
    model.out_features = ["stage1"]
    with pytest.raises(ConfigError, match=r"without a norm for 'stage1'.*\['stage3'\]"):
        model(torch.ones(1, 3, 32, 32))
