"""Encoders of real-time detectors: attention within small maps, convolutions between all (arXiv
2304.08069).

Maps (B, D, H, W) come from the largest to the smallest, each half as high and wide as the one
before. B batch, D width, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.backbones import run_stages
from dovetail.recording import Recorder
from dovetail_models_vision.detection.convolutions import ConvNormLayer, CSPRepLayer
from dovetail_models_vision.detection.positions import grid_waves
from dovetail_models_vision.detection.transformer import detection_context


class AttentionStack(nn.Module):
    """`layers` of attention among the places of one map; `config` names the implementation."""

    def __init__(self, layers: Sequence[nn.Module], config: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.config = config

    def forward(self, source: Tensor, recorder: Recorder | None = None) -> Tensor:
        """The map (B, D, H, W), read."""
        size = source.shape[-2:]
        states = source.flatten(2).mT
        temperature = self.config.positional_encoding_temperature
        places = grid_waves(size[0], size[1], states.shape[-1], temperature, source.device)[None]
        context = detection_context(
            self.config._attn_implementation, states, recorder, places=places.to(states.dtype)
        )
        for layer in self.layers:
            states = layer(states, context)
        return states.mT.unflatten(-1, size)


class MapJoints(nn.Module):
    """What an encoder of `maps` maps has to pass what is in the small ones to the large ones and
    back: a mixin, which `build_joints` fills."""

    def build_joints(
        self, maps: int, width: int, inner: int, *, act: str, block_act: str, eps: float
    ) -> None:
        """Make the convolutions."""

        def convolutions(kernel: int, stride: int) -> nn.ModuleList:
            one = partial(ConvNormLayer, width, width, kernel, stride, act=act, eps=eps)
            return nn.ModuleList(one() for _ in range(maps - 1))

        def blocks() -> nn.ModuleList:
            one = partial(CSPRepLayer, width, inner, act=block_act, eps=eps)
            return nn.ModuleList(one() for _ in range(maps - 1))

        self.lateral_convs = convolutions(1, 1)
        self.fpn_blocks = blocks()
        self.downsample_convs = convolutions(3, 2)
        self.pan_blocks = blocks()

    def join(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """`maps`, each with what is in the others."""
        downward = [maps[-1]]
        joints = zip(maps[-2::-1], self.lateral_convs, self.fpn_blocks, strict=True)
        for larger, lateral, block in joints:
            downward[-1] = lateral(downward[-1])
            enlarged = F.interpolate(downward[-1], scale_factor=2.0, mode="nearest")
            if enlarged.shape[-2:] != larger.shape[-2:]:
                raise ValueError(
                    f"The maps are of {[tuple(map_.shape[-2:]) for map_ in maps]} places, but each "
                    "must be half as high and wide as the one before: give pictures whose height "
                    "and width are multiples of 32."
                )
            downward.append(block(torch.cat((enlarged, larger), 1)))
        joined = [downward.pop()]
        for shrink, block in zip(self.downsample_convs, self.pan_blocks, strict=True):
            joined.append(block(torch.cat((shrink(joined[-1]), downward.pop()), 1)))
        return joined


def attend_to_maps(
    model: Any,
    maps: Sequence[Tensor],
    indices: Sequence[int],
    stacks: nn.ModuleList,
    recorder: Recorder | None,
) -> list[Tensor]:
    """`maps`, those of `indices` read by `stacks`; for ``output_hidden_states`` the maps before
    each stack are noted, and the last map after the last."""
    read = list(maps)
    for index, stack in zip(indices, stacks, strict=True):
        read[index] = run_stages(model, [partial(stack, recorder=recorder)], read[index], recorder)[
            -1
        ]
    if recorder is not None:
        recorder.add_last_hidden_state(read[indices[-1] if indices else -1])
    return read
