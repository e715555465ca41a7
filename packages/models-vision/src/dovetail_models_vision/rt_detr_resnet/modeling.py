"""RT-DETR's ResNet, which is a ResNet-D (arXiv 1812.01187).

Three small convolutions for a stem, and shortcuts that average before they project, so that no
pixel is passed over.
"""

from __future__ import annotations

from torch import nn

from dovetail_models_vision.resnet.configuration import ResNetConfig
from dovetail_models_vision.resnet.modeling import (
    ConvNorm,
    ResNetBackbone,
    ResNetEmbeddings,
    ResNetLayer,
    ResNetPreTrainedModel,
)
from dovetail_models_vision.rt_detr_resnet.configuration import RTDetrResNetConfig


class RTDetrResNetEmbeddings(ResNetEmbeddings):
    """The stem: three convolutions of 3x3, the first of which halves height and width, and a
    maximum."""

    def convolutions(self, config: ResNetConfig) -> nn.Module:
        width, act = config.embedding_size, config.hidden_act
        return nn.Sequential(
            ConvNorm(config.num_channels, width // 2, 3, 2, act),
            ConvNorm(width // 2, width // 2, 3, 1, act),
            ConvNorm(width // 2, width, 3, 1, act),
        )


class RTDetrResNetLayer(ResNetLayer):
    """A residual layer whose shortcut averages where height and width are halved.

    The first of two-convolution layers always projects, and where it keeps its width strides.
    """

    def projection(
        self, config: ResNetConfig, inputs: int, outputs: int, stride: int, first: bool
    ) -> nn.Module:
        basic = config.layer_type == "basic"
        if stride == 2 and (inputs != outputs or not basic):
            return nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True), ConvNorm(inputs, outputs, 1))
        projects = first if basic else inputs != outputs
        return ConvNorm(inputs, outputs, 1, stride) if projects else nn.Identity()


class RTDetrResNetPreTrainedModel(ResNetPreTrainedModel):
    config_class = RTDetrResNetConfig


class RTDetrResNetBackbone(RTDetrResNetPreTrainedModel, ResNetBackbone):
    """The outputs of chosen stages."""

    embeddings_class = RTDetrResNetEmbeddings
    layer_class = RTDetrResNetLayer
