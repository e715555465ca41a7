"""RT-DETR's ResNet passes the battery for models that work in stages."""

from __future__ import annotations

from typing import Any

from dovetail import RTDetrResNetBackbone, RTDetrResNetConfig
from dovetail.testing.stages import StagedConformance

SIZES: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [2, 1]}


class TestRTDetrResNet(StagedConformance):
    config_class = RTDetrResNetConfig
    model_classes = (RTDetrResNetBackbone,)
    sizes = SIZES


class TestBasicRTDetrResNet(StagedConformance):
    config_class = RTDetrResNetConfig
    model_classes = (RTDetrResNetBackbone,)
    sizes = SIZES | {"hidden_sizes": [8, 16], "layer_type": "basic"}
