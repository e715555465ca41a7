"""The convolutional backbone of a detection transformer, and the mask of what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.auto import AutoBackbone
from dovetail.backbones import load_backbone
from dovetail.errors import MissingPackageError

Maps = list[tuple[Tensor, Tensor]]
"""Feature maps (B, C, H, W), each with its mask (B, H, W), True where the picture is."""


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose statistics and parameters never change."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (
            ("weight", 1.0),
            ("bias", 0.0),
            ("running_mean", 0.0),
            ("running_var", 1.0),
        ):
            self.register_buffer(name, torch.full((channels,), value))

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> FrozenBatchNorm2d:
        """The frozen form of `norm`."""
        frozen = cls(norm.num_features)
        for name in ("weight", "bias", "running_mean", "running_var"):
            value = getattr(norm, name)
            if not value.is_meta:
                getattr(frozen, name).copy_(value.detach())
        return frozen

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W), normalised."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


def freeze_batch_norms(module: nn.Module) -> None:
    """Replace every batch norm inside `module` by its frozen form."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d.of(child))
        else:
            freeze_batch_norms(child)


def make_backbone(config: Any) -> Any:
    """The backbone that a detector's `config` describes; ``backbone_config`` comes first."""
    if config.backbone_config is not None:
        return AutoBackbone.from_config(config.backbone_config)
    return load_backbone(config)


def timm_backbone(config: Any, indices: Sequence[int]) -> Any:
    """A network of the ``timm`` package that returns the maps of the stages `indices`.

    Raises:
        MissingPackageError: ``timm`` is not installed.
    """
    if find_spec("timm") is None:
        raise MissingPackageError(
            f"config.use_timm_backbone=True asks for the backbone {config.backbone!r} of the timm "
            "package, which is not installed: run `pip install timm`, or set "
            "use_timm_backbone=False and give backbone_config."
        )
    timm = import_module("timm")

    options = {"in_chans": config.num_channels, "out_indices": tuple(indices)}
    options |= config.backbone_kwargs or {}
    return timm.create_model(
        config.backbone, pretrained=config.use_pretrained_backbone, features_only=True, **options
    )


class ConvEncoder(nn.Module):
    """A backbone with frozen batch norms.

    Of a ResNet only what `trained` names is trained: the last three stages of one from ``timm``.
    Ours calls them otherwise and so is frozen as a whole, which is what the field does.
    `indices` are the stages that a timm backbone returns; ours name theirs in their config.
    """

    trained = ("layer2", "layer3", "layer4")

    def __init__(self, config: Any, indices: Sequence[int] = (1, 2, 3, 4)) -> None:
        super().__init__()
        self.timm = config.use_timm_backbone
        self.model: Any = timm_backbone(config, indices) if self.timm else make_backbone(config)
        freeze_batch_norms(self.model)
        if "resnet" in (config.backbone or self.model.config.model_type):
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(any(stage in name for stage in self.trained))

    @property
    def intermediate_channel_sizes(self) -> list[int]:
        """Channels of the feature maps."""
        return self.model.feature_info.channels() if self.timm else self.model.channels

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Maps:
        """Feature maps of pictures (B, C, H, W), each with the mask (B, H, W) in its size."""
        maps = self.model(pixel_values) if self.timm else self.model(pixel_values).feature_maps
        return [(map_, shrink_mask(pixel_mask, map_)) for map_ in maps]


def shrink_mask(pixel_mask: Tensor, like: Tensor) -> Tensor:
    """`pixel_mask` (B, H, W) in height and width of the map `like`, as booleans."""
    shrunk = F.interpolate(pixel_mask[:, None].float(), size=like.shape[-2:])
    return shrunk[:, 0].bool()


def full_mask(pixel_values: Tensor, pixel_mask: Tensor | None) -> Tensor:
    """`pixel_mask` (B, H, W), by default of ones, for pictures (B, C, H, W).

    Raises:
        ValueError: its shape is another.
    """
    shape = (len(pixel_values), *pixel_values.shape[-2:])
    if pixel_mask is None:
        return pixel_values.new_ones(shape)
    if tuple(pixel_mask.shape) != shape:
        raise ValueError(
            f"pixel_mask has the shape {tuple(pixel_mask.shape)}, but pixel_values "
            f"{tuple(pixel_values.shape)}: give {shape}, 1 where the picture is and 0 where "
            "padding is."
        )
    return pixel_mask
