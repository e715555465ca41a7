"""ConvNeXt: a ResNet with the choices of a transformer (arXiv 2201.03545).

Wide depthwise convolutions in place of attention, one norm and one activation in a layer, patches
for a stem. B batch, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.backbones import BackboneMixin, run_stages
from dovetail.layers.activations import activation
from dovetail.layers.norms import ChannelLayerNorm
from dovetail.layers.patches import check_channels
from dovetail.layers.projections import Linear
from dovetail.layers.residual import DropPath, drop_path_rates
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPoolingAndNoAttention
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.convnext.configuration import ConvNextConfig
from dovetail_models_vision.heads import PooledImageClassification


class ConvNextEmbeddings(nn.Module):
    """Patches, each projected and normed."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, patch = config.hidden_sizes[0], config.patch_size
        self.patch_embeddings = nn.Conv2d(config.num_channels, width, patch, patch)
        self.layernorm = ChannelLayerNorm(width)

    def forward(self, pixel_values: Tensor) -> Tensor:
        check_channels(pixel_values, self.patch_embeddings.in_channels)
        pixel_values = pixel_values.to(self.patch_embeddings.weight.dtype)
        return self.layernorm(self.patch_embeddings(pixel_values))


class ConvNextLayer(nn.Module):
    """A depthwise convolution and an MLP over channels, scaled and added to the input."""

    def __init__(self, config: ConvNextConfig, width: int, drop_path: float) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, kernel_size=7, padding=3, groups=width)
        self.layernorm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1, self.pwconv2 = Linear(width, 4 * width), Linear(4 * width, width)
        self.act = activation(config.hidden_act)
        start = config.layer_scale_init_value
        scale = nn.Parameter(torch.full((width,), start)) if start > 0 else None
        self.register_parameter("layer_scale_parameter", scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, pixels: Tensor) -> Tensor:
        added = self.dwconv(pixels).permute(0, 2, 3, 1)  # (B, H, W, C)
        added = self.pwconv2(self.act(self.pwconv1(self.layernorm(added))))
        if self.layer_scale_parameter is not None:
            added = self.layer_scale_parameter * added
        return pixels + self.drop_path(added.permute(0, 3, 1, 2))


class ConvNextStage(nn.Module):
    """Layers of one width, behind a convolution that halves height and width."""

    def __init__(
        self, config: ConvNextConfig, inputs: int, outputs: int, halve: bool, rates: list[float]
    ) -> None:
        super().__init__()
        self.downsampling_layer: nn.Module = nn.Identity()
        if halve:
            self.downsampling_layer = nn.Sequential(
                ChannelLayerNorm(inputs), nn.Conv2d(inputs, outputs, kernel_size=2, stride=2)
            )
        self.layers = nn.Sequential(*(ConvNextLayer(config, outputs, rate) for rate in rates))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers(self.downsampling_layer(pixels))


class ConvNextEncoder(nn.Module):
    """Holds the stages under the checkpoint's name."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        widths = config.hidden_sizes
        rates = drop_path_rates(config.drop_path_rate, config.depths)
        self.stages = nn.ModuleList(
            ConvNextStage(config, widths[max(i - 1, 0)], widths[i], i > 0, rates[i])
            for i in range(config.num_stages)
        )


class ConvNextPreTrainedModel(PreTrainedModel):
    config_class = ConvNextConfig
    base_model_prefix = "convnext"
    main_input_name = "pixel_values"
    input_embeddings = "embeddings"
    _no_split_modules: ClassVar[list[str]] = ["ConvNextLayer"]


class ConvNextModel(ConvNextPreTrainedModel):
    """The stem, the stages, and the normed mean over height and width."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = ConvNextEmbeddings(config)
        self.encoder = ConvNextEncoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_sizes[-1], eps=config.layer_norm_eps)
        self.post_init()

    @backbone
    def forward(
        self, pixel_values: Tensor, *, recorder: Recorder | None = None
    ) -> BaseModelOutputWithPoolingAndNoAttention:
        """The last stage's output (B, C, H, W) and its mean (B, C), of `pixel_values`."""
        states = run_stages(self, self.encoder.stages, self.embeddings(pixel_values), recorder)[-1]
        pooled = self.layernorm(states.mean((-2, -1)))
        return BaseModelOutputWithPoolingAndNoAttention(states, pooled)


class ConvNextForImageClassification(PooledImageClassification, ConvNextPreTrainedModel):
    body_class = ConvNextModel


class ConvNextBackbone(BackboneMixin, ConvNextPreTrainedModel):
    """The outputs of chosen stages, each behind a norm of its own."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_features = [config.hidden_sizes[0], *config.hidden_sizes]
        self.embeddings = ConvNextEmbeddings(config)
        self.encoder = ConvNextEncoder(config)
        self.hidden_states_norms = nn.ModuleDict(
            {name: ChannelLayerNorm(self.out_feature_channels[name]) for name in self.out_features}
        )
        self.post_init()

    def stages(self, pixel_values: Tensor, recorder: Recorder | None) -> list[Tensor]:
        """The output of every stage, that of the stem first."""
        return run_stages(self, self.encoder.stages, self.embeddings(pixel_values), recorder)

    def feature_map(self, name: str, states: Tensor) -> Tensor:
        """`states` under the norm of the stage `name`."""
        return self.norm_of(name)(states)
