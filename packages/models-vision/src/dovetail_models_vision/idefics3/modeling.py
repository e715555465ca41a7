"""Idefics3: pictures in tiles, squares of whose patches become tokens of a language model (arXiv
2408.12637).

Idefics2's encoder and text part; between them, in place of a resampler, neighbouring patches are
put side by side and projected. N pictures, R rows and K columns of patches, s the scale factor,
D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.layers.projections import Linear
from dovetail_models_vision.idefics2.modeling import (
    Idefics2BaseModelOutputWithPast,
    Idefics2CausalLMOutputWithPast,
    Idefics2ForConditionalGeneration,
    Idefics2Model,
    Idefics2PreTrainedModel,
)
from dovetail_models_vision.idefics3.configuration import Idefics3Config


class Idefics3BaseModelOutputWithPast(Idefics2BaseModelOutputWithPast):
    """As Idefics2's."""


class Idefics3CausalLMOutputWithPast(Idefics2CausalLMOutputWithPast):
    """As Idefics2's."""


class Idefics3SimpleMLP(nn.Module):
    """Holds the projection under the checkpoint's name."""

    def __init__(self, width: int, output: int) -> None:
        super().__init__()
        self.proj = Linear(width, output, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Idefics3Connector(nn.Module):
    """One token of each square of patches."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.scale = config.scale_factor
        width = config.vision_config.hidden_size * self.scale**2
        self.modality_projection = Idefics3SimpleMLP(width, config.text_config.hidden_size)

    def forward(self, patches: Tensor, shown: Tensor) -> Tensor:
        """Tokens (N, R * K / s^2, D) of patches (N, R * K, width); `shown` is (N, R, K)."""
        return self.modality_projection(shuffled(patches, shown.shape[1], self.scale))


def shuffled(patches: Tensor, rows: int, scale: int) -> Tensor:
    """Squares of `scale` patches to each side, of patches (N, R * K, D), side by side: (N, R * K /
    s^2, s * s * D).

    Raises:
        ValueError: rows or columns cannot be shared out.
    """
    columns = patches.shape[1] // rows
    if rows % scale or columns % scale:
        raise ValueError(
            f"pixel_values make {rows} x {columns} patches, of which no squares of scale_factor="
            f"{scale} patches to each side can be made. Let the image processor prepare them."
        )
    squares = patches.unflatten(1, (rows // scale, scale, columns // scale, scale))
    return squares.transpose(2, 3).flatten(3).flatten(1, 2)


class Idefics3PreTrainedModel(Idefics2PreTrainedModel):
    config_class = Idefics3Config
    _no_split_modules: ClassVar[list[str]] = ["CLIPEncoderLayer", "LlamaDecoderLayer"]


class Idefics3Model(Idefics2Model, Idefics3PreTrainedModel):
    """Image encoder, connector, and a language model without its head."""

    connector_class = Idefics3Connector
    output_class = Idefics3BaseModelOutputWithPast

    def shown(self, mask: Tensor) -> Tensor:
        """Which patches (N, R, K) have any pixel that is no padding."""
        return self.patches(mask).any(-1)


class Idefics3ForConditionalGeneration(Idefics2ForConditionalGeneration, Idefics3PreTrainedModel):
    """Text about pictures."""

    body_class = Idefics3Model
    output_class = Idefics3CausalLMOutputWithPast
