"""BiT: a ResNet for transfer, by standardised weights and group norm (arXiv 1912.11370).

Every convolution's filters have mean 0 and variance 1 when they are used; norms do not look at the
batch. B batch, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.backbones import BackboneMixin, run_stages
from dovetail.layers.activations import activation, identity
from dovetail.layers.patches import check_channels
from dovetail.layers.residual import DropPath, drop_path_rates
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPoolingAndNoAttention
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.bit.configuration import BitConfig
from dovetail_models_vision.heads import PooledImageClassification, classifier


def pad_same(pixels: Tensor, kernel: int, stride: int, dilation: int = 1) -> Tensor:
    """`pixels` (B, C, H, W) with zeros around, the odd one below and at the right, so that a
    window at each `stride` pixels fits."""
    height, width = (
        max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
        for size in pixels.shape[-2:]
    )
    return F.pad(pixels, (width // 2, width - width // 2, height // 2, height - height // 2))


class WeightStandardizedConv2d(nn.Conv2d):
    """A convolution whose filters are standardised; `padding` is the config's
    ``global_padding``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        padding: str | None = None,
    ) -> None:
        reach = dilation * (kernel - 1)
        self.same = padding == "SAME" and (stride > 1 or reach % 2 == 1)
        sides = 0 if self.same else (stride - 1 + reach) // 2
        super().__init__(inputs, outputs, kernel, stride, sides, dilation, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        filters = self.weight.flatten(1)
        weight = F.layer_norm(filters, filters.shape[1:], eps=1e-8).view_as(self.weight)
        if self.same:
            input = pad_same(input, self.kernel_size[0], self.stride[0], self.dilation[0])
        return self._conv_forward(input, weight, None)


class BitGroupNorm(nn.GroupNorm):
    """A group norm, and an activation unless `act` is None."""

    def __init__(self, config: BitConfig, channels: int, act: str | None) -> None:
        super().__init__(config.num_groups, channels, eps=1e-5)
        self.activation = identity if act is None else activation(act)

    def forward(self, input: Tensor) -> Tensor:
        return self.activation(super().forward(input))


class BitEmbeddings(nn.Module):
    """The stem: a convolution of 7x7 and a maximum, each of which halves height and width."""

    def __init__(self, config: BitConfig) -> None:
        super().__init__()
        width, padding = config.embedding_size, config.global_padding
        self.convolution = WeightStandardizedConv2d(
            config.num_channels, width, 7, stride=2, padding=padding
        )
        self.border = 0 if padding == "SAME" else 1
        self.dynamic = config.embedding_dynamic_padding
        self.norm: nn.Module = nn.Identity()
        if config.layer_type == "bottleneck":
            self.norm = BitGroupNorm(config, width, config.hidden_act)

    def forward(self, pixel_values: Tensor) -> Tensor:
        check_channels(pixel_values, self.convolution.in_channels)
        pixels = self.convolution(pixel_values.to(self.convolution.weight.dtype))
        pixels = self.norm(F.pad(pixels, (self.border,) * 4))
        if self.dynamic:
            pixels = pad_same(pixels, 3, 2)
        return F.max_pool2d(pixels, 3, 2)


class BitDownsampleConv(nn.Module):
    """What a layer's result is added to where widths or sizes change."""

    def __init__(self, config: BitConfig, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = WeightStandardizedConv2d(
            inputs, outputs, 1, stride, padding=config.global_padding
        )
        self.norm: nn.Module = nn.Identity()
        if config.layer_type == "bottleneck":
            self.norm = BitGroupNorm(config, outputs, None)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.norm(self.conv(pixels))


class BitBottleneckLayer(nn.Module):
    """Three convolutions with norms behind them."""

    dilates: ClassVar[bool] = True
    norm1: nn.Module
    norm2: nn.Module
    norm3: nn.Module

    def __init__(
        self, config: BitConfig, inputs: int, outputs: int, stride: int, dilation: int, rate: float,
        first: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        narrow, padding = round_width(outputs / 4), config.global_padding
        self.downsample = BitDownsampleConv(config, inputs, outputs, stride) if first else None
        self.conv1 = WeightStandardizedConv2d(inputs, narrow, 1, padding=padding)
        dilation = dilation if self.dilates else 1
        self.conv2 = WeightStandardizedConv2d(narrow, narrow, 3, stride, dilation, padding)
        self.conv3 = WeightStandardizedConv2d(narrow, outputs, 1, padding=padding)
        self.drop_path = DropPath(rate)
        self.activation = activation(config.hidden_act)
        widths = self.norm_widths(inputs, narrow, outputs)
        for number, (width, active) in enumerate(widths, 1):
            act = config.hidden_act if active else None
            setattr(self, f"norm{number}", BitGroupNorm(config, width, act))

    def norm_widths(self, inputs: int, narrow: int, outputs: int) -> tuple[tuple[int, bool], ...]:
        """The channels of each norm, and whether an activation follows it."""
        return (narrow, True), (narrow, True), (outputs, False)

    def forward(self, pixels: Tensor) -> Tensor:
        shortcut = pixels if self.downsample is None else self.downsample(pixels)
        inner = self.norm2(self.conv2(self.norm1(self.conv1(pixels))))
        return self.activation(self.drop_path(self.norm3(self.conv3(inner))) + shortcut)


class BitPreActivationBottleneckLayer(BitBottleneckLayer):
    """The same with norms in front; what is added is not activated. The field's never dilate."""

    dilates = False

    def norm_widths(self, inputs: int, narrow: int, outputs: int) -> tuple[tuple[int, bool], ...]:
        return (inputs, True), (narrow, True), (narrow, True)

    def forward(self, pixels: Tensor) -> Tensor:
        normed = self.norm1(pixels)
        shortcut = pixels if self.downsample is None else self.downsample(normed)
        added = self.conv3(self.norm3(self.conv2(self.norm2(self.conv1(normed)))))
        return self.drop_path(added) + shortcut


LAYERS = {
    "bottleneck": BitBottleneckLayer,
    "preactivation": BitPreActivationBottleneckLayer,
}


def round_width(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, but not less than 90 percent of them."""
    width = max(8, int(channels + 4) // 8 * 8)
    return width + 8 if width < 0.9 * channels else width


class BitStage(nn.Module):
    """Layers of one width, the first of which may divide height and width."""

    def __init__(
        self, config: BitConfig, inputs: int, outputs: int, stride: int, dilation: int,
        rates: list[float],
    ) -> None:  # fmt: skip
        super().__init__()
        layer = LAYERS[config.layer_type]
        self.layers = nn.Sequential(
            *(
                layer(config, outputs, outputs, 1, dilation, rate, False)
                if number
                # The first layer looks no further than the stage before.
                else layer(config, inputs, outputs, stride, min((dilation + 1) // 2, 2), rate, True)
                for number, rate in enumerate(rates)
            )
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers(pixels)


def stage_widths(config: BitConfig) -> list[int]:
    """The channels of each stage."""
    widths = config.hidden_sizes[: len(config.depths)]
    return [round_width(width * config.width_factor) for width in widths]


class BitEncoder(nn.Module):
    """Holds the stages under the checkpoint's name."""

    def __init__(self, config: BitConfig) -> None:
        super().__init__()
        widths = stage_widths(config)
        rates = drop_path_rates(config.drop_path_rate, config.depths)
        stages, smaller, dilation = [], 4, 1
        for index, inputs in enumerate([config.embedding_size, *widths[:-1]]):
            stride = 2 if index else 1
            if smaller >= config.output_stride:
                dilation, stride = dilation * stride, 1
            stages.append(BitStage(config, inputs, widths[index], stride, dilation, rates[index]))
            smaller *= stride
        self.stages = nn.ModuleList(stages)


class BitPreTrainedModel(PreTrainedModel):
    config_class = BitConfig
    base_model_prefix = "bit"
    main_input_name = "pixel_values"
    input_embeddings = "embedder"
    _no_split_modules: ClassVar[list[str]] = ["BitEmbeddings"]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            module.reset_parameters()


class BitModel(BitPreTrainedModel):
    """The stem, the stages, a norm where layers do not end in one, and the mean over height and
    width."""

    def __init__(self, config: BitConfig) -> None:
        super().__init__(config)
        self.embedder = BitEmbeddings(config)
        self.encoder = BitEncoder(config)
        self.norm: nn.Module = nn.Identity()
        if config.layer_type == "preactivation":
            self.norm = BitGroupNorm(config, stage_widths(config)[-1], config.hidden_act)
        self.pooler = nn.AdaptiveAvgPool2d((1, 1))
        self.post_init()

    def stages(self, pixel_values: Tensor, recorder: Recorder | None) -> list[Tensor]:
        """The output of every stage, that of the stem first."""
        return run_stages(self, self.encoder.stages, self.embedder(pixel_values), recorder)

    @backbone
    def forward(
        self, pixel_values: Tensor, *, recorder: Recorder | None = None
    ) -> BaseModelOutputWithPoolingAndNoAttention:
        """The last stage's output (B, C, H, W), normed, and its mean (B, C, 1, 1)."""
        last = self.stages(pixel_values, recorder)[-1]
        if recorder is not None:
            recorder.add_last_hidden_state(last)
        states = self.norm(last)
        return BaseModelOutputWithPoolingAndNoAttention(states, self.pooler(states))


class BitForImageClassification(PooledImageClassification, BitPreTrainedModel):
    def build_head(self) -> None:
        width = stage_widths(self.config)[-1]
        self.classifier = nn.Sequential(nn.Flatten(), classifier(width, self.num_labels))


class BitBackbone(BackboneMixin, BitPreTrainedModel):
    """The outputs of chosen stages."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_features = [config.embedding_size, *stage_widths(config)]
        self.bit = BitModel(config)
        self.post_init()

    def stages(self, pixel_values: Tensor, recorder: Recorder | None) -> list[Tensor]:
        """The output of every stage, that of the stem first."""
        return self.bit.stages(pixel_values, recorder)
