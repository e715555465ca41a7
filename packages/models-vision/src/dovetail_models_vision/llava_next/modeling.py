"""LLaVA-NeXT (LLaVA 1.6): LLaVA that sees a picture twice, whole and in tiles of higher resolution.

The features of the tiles lie side by side as the tiles do; those of the border are left out, and
each row ends with a feature of its own. B batch, T tokens, P pictures, M tiles, C channels, H
height, W width, N patches, D width of features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput
from dovetail.recording import task_head
from dovetail_models_vision.llava.modeling import LlavaModel
from dovetail_models_vision.llava_next.configuration import LlavaNextConfig
from dovetail_models_vision.llava_next.tiles import Grid, Size, borders, tile_count, tile_grid
from dovetail_models_vision.vision_language.features import Visual


class LlavaNextPreTrainedModel(PreTrainedModel):
    config_class = LlavaNextConfig


class LlavaNextModel(LlavaModel):
    """What LLaVA-NeXT's relatives share: tiles, and how their features become one picture's."""

    visual_inputs: ClassVar[tuple[str, ...]] = (
        "pixel_values",
        "image_sizes",
        "vision_feature_layer",
        "vision_feature_select_strategy",
    )

    def build(self, config: Any) -> None:
        """Tower, projector, and the feature at the end of a row."""
        super().build(config)
        self.image_newline = nn.Parameter(torch.empty(config.text_config.hidden_size))

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            width = self.image_newline.shape[0]
            self.image_newline.data.normal_(std=width**-0.5)

    def encode(
        self,
        pixel_values: Tensor | None = None,
        image_sizes: Any = None,
        **selection: Any,
    ) -> Sequence[Visual]:
        """The features of pictures (P, M, C, H, W) of `image_sizes` (P, 2)."""
        if pixel_values is None:
            return []
        features = self.get_image_features(pixel_values, image_sizes, **selection)
        return [Visual("image", self.config.image_token_index, torch.cat(features))]

    def get_image_features(  # type: ignore[override] # these pictures have sizes
        self,
        pixel_values: Tensor,
        image_sizes: Any,
        vision_feature_layer: int | None = None,
        vision_feature_select_strategy: str | None = None,
    ) -> list[Tensor]:
        """Features (N, D) of each picture (P, M, C, H, W), which had the heights and widths
        `image_sizes` (P, 2) before it was cut.

        Raises:
            ValueError: there are not as many sizes as pictures, or more tiles than are given.
        """
        if image_sizes is None:
            raise ValueError(
                "image_sizes is None: give the height and width of each picture, as the image "
                "processor returns them."
            )
        sizes = [(int(height), int(width)) for height, width in image_sizes]
        tile, points = self.config.vision_config.image_size, self.config.image_grid_pinpoints
        counts = [tile_count(size, points, tile) for size in sizes]
        features = super().get_image_features(
            without_padding(pixel_values, counts),
            vision_feature_layer,
            vision_feature_select_strategy,
        )
        cut = zip(features.split(counts), sizes, strict=True)
        return [self.pack(tiles, size) for tiles, size in cut]

    def pack(self, tiles: Tensor, size: Size) -> Tensor:
        """Features (N, D) of a picture of `size` from those of the whole and its tiles (M, n, D):
        the former, then row by row what the tiles show."""
        vision = self.config.vision_config
        edge = vision.image_size // vision.patch_size
        whole, rest = tiles[0], tiles[1:, -edge * edge :]  # without a first token, where it is kept
        rows, columns = tile_grid(size, self.config.image_grid_pinpoints, vision.image_size)
        patches = rest.unflatten(1, (edge, edge)).unflatten(0, (rows, columns))
        patches = patches.transpose(1, 2).reshape(rows * edge, columns * edge, -1)
        above, beside = borders(size, Grid(rows * edge, columns * edge))
        patches = patches[above : rows * edge - above, beside : columns * edge - beside]
        ends = self.image_newline.to(patches).expand(len(patches), 1, -1)
        return torch.cat((whole, torch.cat((patches, ends), 1).flatten(0, 1)))


def without_padding(pixel_values: Tensor, counts: Sequence[int]) -> Tensor:
    """All tiles (sum of `counts`, C, H, W) of pictures (P, M, C, H, W) that have so many.

    Raises:
        ValueError: there are other tiles than that.
    """
    shape = tuple(pixel_values.shape)
    fits = shape[0] == len(counts) and max(counts, default=0) <= shape[1]
    if len(shape) == 5 and fits:
        rows = zip(pixel_values, counts, strict=True)
        return torch.cat([tiles[:count] for tiles, count in rows])
    if len(shape) == 4 and shape[0] == sum(counts):
        return pixel_values
    raise ValueError(
        f"pixel_values have the shape {shape}, and image_sizes ask for {len(counts)} pictures of "
        f"{list(counts)} tiles. Let one image processor make both, with the model's "
        "image_grid_pinpoints."
    )


class LlavaNextForConditionalGeneration(LlavaNextModel, LlavaNextPreTrainedModel):
    """Text about pictures of any size."""

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_sizes: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        vision_feature_layer: int | None = None,
        vision_feature_select_strategy: str | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, T, V) of texts (B, T) with pictures (P, M, C, H, W) of `image_sizes` (P, 2),
        all in the order of their tokens; `labels` (B, T) give the loss, in which padding does not
        count."""
        visual = {
            "pixel_values": pixel_values,
            "image_sizes": image_sizes,
            "vision_feature_layer": vision_feature_layer,
            "vision_feature_select_strategy": vision_feature_select_strategy,
        }
        text = (input_ids, attention_mask, inputs_embeds, labels, position_ids, past_key_values)
        return self.run(visual, *text, **kwargs)
