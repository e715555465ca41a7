"""What OmDet-Turbo sees pictures with: a native backbone, or a Swin that ``timm`` names."""

from __future__ import annotations

from torch import Tensor, nn

from dovetail.backbones import load_backbone
from dovetail.errors import ConfigError
from dovetail_models_vision.omdet_turbo.configuration import OmDetTurboConfig
from dovetail_models_vision.swin.timm import TimmSwin, timm_swin_config


def uses_timm(config: OmDetTurboConfig) -> bool:
    """Whether pictures are read by a network that the ``timm`` package names."""
    return config.use_timm_backbone and config.backbone_config is None


def timm_swin(config: OmDetTurboConfig) -> TimmSwin:
    """The network of `config`, without trained weights.

    Raises:
        ConfigError: it is none of timm's Swins, or trained weights are asked for.
    """
    made = timm_swin_config(config.backbone or "", config.backbone_kwargs or {})
    if made is None or config.use_pretrained_backbone:
        raise ConfigError(
            f"config.use_timm_backbone=True asks for the backbone {config.backbone!r} of the timm "
            f"package with use_pretrained_backbone={config.use_pretrained_backbone}, but "
            "OmDet-Turbo has its Swins alone, such as 'swin_tiny_patch4_window7_224', without "
            "weights of their own: name one with use_pretrained_backbone=False, or give "
            "backbone_config with use_timm_backbone=False and backbone=None."
        )
    return TimmSwin._from_config(made)


class VisionBackbone(nn.Module):
    """Maps (B, C, H, W) of pictures, normalised over their channels."""

    def __init__(self, config: OmDetTurboConfig) -> None:
        super().__init__()
        self.normalises = config.apply_layernorm_after_vision_backbone
        self.vision_backbone = timm_swin(config) if uses_timm(config) else load_backbone(config)
        self.layer_norms = nn.ModuleList(
            nn.LayerNorm(channels, config.layer_norm_eps) for channels in config.encoder_in_channels
        )

    def forward(self, pixel_values: Tensor) -> list[Tensor]:
        """The maps."""
        maps = list(self.vision_backbone(pixel_values, return_dict=True).feature_maps)
        if not self.normalises:
            return maps
        return [
            norm(map_.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            for norm, map_ in zip(self.layer_norms, maps, strict=True)
        ]
