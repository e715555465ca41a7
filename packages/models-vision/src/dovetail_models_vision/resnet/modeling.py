"""ResNet: convolutions that learn what to add to their input (arXiv 1512.03385, 2110.00476).

A stem at a quarter of the picture's height and width, then stages of residual layers, each stage at
half the height and width of the one before. B batch, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.backbones import BackboneMixin, run_stages
from dovetail.layers.activations import activation, identity
from dovetail.layers.patches import check_channels
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPoolingAndNoAttention
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.detection.convolutions import conv_norm
from dovetail_models_vision.heads import PooledImageClassification, classifier
from dovetail_models_vision.resnet.configuration import ResNetConfig


class ConvNorm(nn.Module):
    """A convolution that keeps or divides height and width, batch norm and an activation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, act: str | None = None
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.normalization = nn.BatchNorm2d(outputs)
        self.activation = identity if act is None else activation(act)
        self.rectifies = act == "relu"

    def forward(self, pixels: Tensor) -> Tensor:
        states = conv_norm(pixels, self.convolution, self.normalization)
        if self.rectifies and not torch.is_grad_enabled():
            return states.relu_()  # one map less to write
        return self.activation(states)


class ResNetEmbeddings(nn.Module):
    """The stem: a convolution of 7x7 and a maximum, each of which halves height and width."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.channels = config.num_channels
        self.embedder = self.convolutions(config)
        self.pooler = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def convolutions(self, config: ResNetConfig) -> nn.Module:
        """What comes before the maximum."""
        return ConvNorm(config.num_channels, config.embedding_size, 7, 2, config.hidden_act)

    def forward(self, pixel_values: Tensor) -> Tensor:
        check_channels(pixel_values, self.channels)
        return self.pooler(self.embedder(pixel_values.to(next(self.parameters()).dtype)))


class ResNetLayer(nn.Module):
    """Two or three convolutions, added to their input or, where shapes change, to a projection.

    ReLU stands between them whatever the config says: ``hidden_act`` follows the sum.
    """

    def __init__(
        self, config: ResNetConfig, inputs: int, outputs: int, stride: int, first: bool
    ) -> None:
        super().__init__()
        narrow = max(outputs // 4, 1)
        early, late = (stride, 1) if config.downsample_in_bottleneck else (1, stride)
        convolutions: tuple[ConvNorm, ...]
        if config.layer_type == "basic":
            convolutions = (
                ConvNorm(inputs, outputs, 3, stride, "relu"),
                ConvNorm(outputs, outputs, 3),
            )
        else:
            convolutions = (
                ConvNorm(inputs, narrow, 1, early, "relu"),
                ConvNorm(narrow, narrow, 3, late, "relu"),
                ConvNorm(narrow, outputs, 1),
            )
        self.shortcut = self.projection(config, inputs, outputs, stride, first)
        self.layer = nn.Sequential(*convolutions)
        self.activation = activation(config.hidden_act)

    def projection(
        self, config: ResNetConfig, inputs: int, outputs: int, stride: int, first: bool
    ) -> nn.Module:
        """What the convolutions are added to; `first` is the first layer of its stage."""
        same = inputs == outputs and stride == 1
        return nn.Identity() if same else ConvNorm(inputs, outputs, 1, stride)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.activation(self.layer(pixels) + self.shortcut(pixels))


class ResNetStage(nn.Module):
    """Layers of one width, the first of which may divide height and width."""

    def __init__(
        self,
        config: ResNetConfig,
        inputs: int,
        outputs: int,
        stride: int,
        depth: int,
        layer: type[ResNetLayer],
    ) -> None:
        super().__init__()
        rest = (layer(config, outputs, outputs, 1, False) for _ in range(depth - 1))
        self.layers = nn.Sequential(layer(config, inputs, outputs, stride, True), *rest)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers(pixels)


class ResNetEncoder(nn.Module):
    """Holds the stages under the checkpoint's name."""

    def __init__(self, config: ResNetConfig, layer: type[ResNetLayer] = ResNetLayer) -> None:
        super().__init__()
        inputs = (config.embedding_size, *config.hidden_sizes)
        strides = (1 + config.downsample_in_first_stage, *(2 for _ in config.depths[1:]))
        sizes = zip(inputs, config.hidden_sizes, strides, config.depths, strict=False)
        self.stages = nn.ModuleList(ResNetStage(config, *size, layer) for size in sizes)


class ResNetPreTrainedModel(PreTrainedModel):
    config_class = ResNetConfig
    base_model_prefix = "resnet"
    main_input_name = "pixel_values"
    input_embeddings = "embedder"
    _no_split_modules: ClassVar[list[str]] = ["ResNetLayer"]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            module.reset_parameters()


class ResNetModel(ResNetPreTrainedModel):
    """The stem, the stages, and the mean over height and width."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        self.embedder = ResNetEmbeddings(config)
        self.encoder = ResNetEncoder(config)
        self.pooler = nn.AdaptiveAvgPool2d((1, 1))
        self.post_init()

    @backbone
    def forward(
        self, pixel_values: Tensor, *, recorder: Recorder | None = None
    ) -> BaseModelOutputWithPoolingAndNoAttention:
        """The last stage's output (B, C, H, W) and its mean (B, C, 1, 1), of `pixel_values`."""
        states = run_stages(self, self.encoder.stages, self.embedder(pixel_values), recorder)[-1]
        return BaseModelOutputWithPoolingAndNoAttention(states, self.pooler(states))


class ResNetForImageClassification(PooledImageClassification, ResNetPreTrainedModel):
    def build_head(self) -> None:
        width = self.config.hidden_sizes[-1]
        self.classifier = nn.Sequential(nn.Flatten(), classifier(width, self.num_labels))


class ResNetBackbone(BackboneMixin, ResNetPreTrainedModel):
    """The outputs of chosen stages."""

    embeddings_class: ClassVar[type[ResNetEmbeddings]] = ResNetEmbeddings
    layer_class: ClassVar[type[ResNetLayer]] = ResNetLayer

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_features = [config.embedding_size, *config.hidden_sizes]
        self.embedder = self.embeddings_class(config)
        self.encoder = ResNetEncoder(config, self.layer_class)
        self.post_init()

    def stages(self, pixel_values: Tensor, recorder: Recorder | None) -> list[Tensor]:
        """The output of every stage, that of the stem first."""
        return run_stages(self, self.encoder.stages, self.embedder(pixel_values), recorder)
