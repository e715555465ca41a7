"""Configuration of RT-DETR's ResNet."""

from __future__ import annotations

from typing import ClassVar

from dovetail_models_vision.resnet.configuration import ResNetConfig


class RTDetrResNetConfig(ResNetConfig):
    """Sizes of a ResNet-D; the defaults are those of ResNet-50."""

    model_type: ClassVar[str] = "rt_detr_resnet"
