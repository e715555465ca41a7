"""ResNet passes the battery for models that work in stages."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dovetail import (
    ResNetBackbone,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
)
from dovetail.errors import ConfigError
from dovetail.testing.stages import StagedConformance

SIZES: dict[str, Any] = {
    "embedding_size": 8,
    "hidden_sizes": [16, 32],
    "depths": [2, 1],
    "num_labels": 3,
}


class TestResNet(StagedConformance):
    config_class = ResNetConfig
    model_classes = (ResNetModel, ResNetForImageClassification, ResNetBackbone)
    sizes = SIZES


def test_widths_and_depths_go_together():
    with pytest.raises(ConfigError, match="one entry for each stage"):
        ResNetConfig(hidden_sizes=[8, 16, 32], depths=[1, 1])


def test_pictures_of_other_channels_are_refused():
    model = ResNetModel(ResNetConfig(**SIZES))
    with pytest.raises(ValueError, match=r"\(2, 4, 32, 32\) must be \(batch, 3, height, width\)"):
        model(torch.zeros(2, 4, 32, 32))


def test_training_counts_statistics():
    model = ResNetModel(ResNetConfig(**SIZES)).train()
    before = model.get_buffer("embedder.embedder.normalization.running_mean").clone()
    model(torch.ones(2, 3, 32, 32))
    after = model.get_buffer("embedder.embedder.normalization.running_mean")
    assert not torch.equal(after, before)
    assert model.get_buffer("embedder.embedder.normalization.num_batches_tracked") == 1
