"""The image encoder of Idefics2 and 3: SigLIP's for pictures of any size and aspect, whose patches
take the positions at their shares of the picture's height and width (arXiv 2307.06304).

N pictures, C channels, H height, W width, R rows and K columns of patches, D width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.layers.patches import PatchEmbedding
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutput
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.clip.layers import CLIPEncoder
from dovetail_models_vision.idefics2.configuration import Idefics2VisionConfig


@lru_cache(maxsize=4096)
def shares(count: int, side: int) -> Tensor:
    """Which of `side` positions each of `count` patches along an edge takes.

    In single precision, which decides on which side of a border a patch falls, as in training.
    """
    step = float(1 / torch.tensor(count))
    patches = torch.arange(0, 1 - 1e-6, step)
    borders = torch.arange(1 / side, 1.0, 1 / side)
    return torch.bucketize(patches, borders, right=True)


class Idefics2VisionEmbeddings(nn.Module):
    """Patches with their positions."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.patch_embedding = PatchEmbedding(
            config.image_size, config.patch_size, config.num_channels, config.hidden_size
        )
        self.position_embedding = nn.Embedding(self.patch_embedding.count, config.hidden_size)

    def forward(self, pixel_values: Tensor, patch_attention_mask: Tensor) -> Tensor:
        """Tokens (N, R * K, D) of pictures (N, C, H, W), of which a mask (N, R, K) shows some."""
        patches = self.patch_embedding(pixel_values, True)
        return patches + self.position_embedding(self.positions(patch_attention_mask))

    def positions(self, mask: Tensor) -> Tensor:
        """The position of each patch (N, R * K).

        Raises:
            ValueError: what a mask shows is no rectangle, or nothing.
        """
        heights, widths = mask[:, :, 0].sum(1), mask[:, 0].sum(1)
        rows = torch.arange(mask.shape[1], device=mask.device) < heights[:, None]
        columns = torch.arange(mask.shape[2], device=mask.device) < widths[:, None]
        if bool((mask != rows[:, :, None] & columns[:, None]).any()) or not bool(heights.all()):
            raise ValueError(
                "pixel_attention_mask must show a rectangle of at least one whole patch at the top "
                "left of each picture."
            )
        side = self.patch_embedding.own_grid[0]
        taken = torch.zeros(mask.shape, dtype=torch.long)
        for one, height, width in zip(taken, heights.tolist(), widths.tolist(), strict=True):
            one[:height, :width] = shares(height, side)[:, None] * side + shares(width, side)
        return taken.flatten(1).to(mask.device)


class Idefics2VisionTransformer(PreTrainedModel):
    """The encoder."""

    config_class = Idefics2VisionConfig
    main_input_name = "pixel_values"
    input_embeddings = "embeddings.patch_embedding"
    _no_split_modules: ClassVar[list[str]] = ["CLIPEncoderLayer"]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = Idefics2VisionEmbeddings(config)
        self.encoder = CLIPEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.post_init()

    @backbone
    def forward(
        self,
        pixel_values: Tensor,
        patch_attention_mask: Tensor,
        recorder: Recorder | None = None,
    ) -> BaseModelOutput:
        """Hidden states (N, R * K, D) of pictures (N, C, H, W), whose patches are shown where
        `patch_attention_mask` (N, R, K) is True."""
        tokens = self.embeddings(pixel_values, patch_attention_mask)
        context = self.encoder_context(tokens, patch_attention_mask.flatten(1), recorder=recorder)
        hidden_states = self.run_layers(self.encoder.layers, tokens, context)
        return BaseModelOutput(self.post_layernorm(hidden_states))
