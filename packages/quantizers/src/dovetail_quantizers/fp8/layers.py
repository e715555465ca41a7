"""The layers of 8-bit floats, with the tensors that checkpoints hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dovetail_quantizers.fp8.configuration import FbgemmFp8Config, FineGrainedFP8Config
from dovetail_quantizers.layers import PackedLinear

FLOAT8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FLOAT8).max


class FbgemmFp8Linear(PackedLinear):
    """`weight` (out, in) in float8, `weight_scale` (out, 1) in float32."""

    kind = "rows"

    def __init__(self, layer: nn.Linear, config: FbgemmFp8Config) -> None:
        super().__init__(layer)
        self.register_buffer("weight", torch.empty(self.weight_shape, dtype=FLOAT8, device="meta"))
        self.register_buffer("weight_scale", torch.empty(self.out_features, 1, device="meta"))
        bound = torch.tensor([config.activation_scale_ub], dtype=torch.float32)
        self.register_buffer("input_scale_ub", bound, persistent=False)

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        return self.weight.float() * self.weight_scale

    def quantize(self, weight: Tensor) -> None:
        """Bring every row to the range of the type and round."""
        weight = weight.float()
        self.weight_scale = _scale(weight.abs().amax(1, keepdim=True))
        self.weight = _rounded(weight / self.weight_scale)

    def held(self) -> tuple[Tensor, ...]:
        """Weight and scale."""
        return self.weight, self.weight_scale.float()

    def take_back(self, *held: Tensor) -> None:
        """Put the weight into its buffer; the scales never left."""
        self.weight = held[0]

    def release(self) -> None:
        """Let go of the weight."""
        self._buffers["weight"] = None


class FP8Linear(PackedLinear):
    """`weight` (out, in) in float8, `weight_scale_inv` (row blocks, column blocks) in float32."""

    def __init__(self, layer: nn.Linear, config: FineGrainedFP8Config) -> None:
        super().__init__(layer)
        self.block = tuple(config.weight_block_size)
        blocks = [
            -(-size // step) for size, step in zip(self.weight_shape, self.block, strict=True)
        ]
        self.register_buffer("weight", torch.empty(self.weight_shape, dtype=FLOAT8, device="meta"))
        self.register_buffer("weight_scale_inv", torch.empty(blocks, device="meta"))

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        return self.weight.float() * self._spread(self.weight_scale_inv)

    def quantize(self, weight: Tensor) -> None:
        """Bring every block to the range of the type and round."""
        weight = weight.float()
        rows, columns = (
            (-size) % step for size, step in zip(self.weight_shape, self.block, strict=True)
        )
        padded = nn.functional.pad(weight, (0, columns, 0, rows)).abs()
        tiles = padded.unflatten(1, (-1, self.block[1])).unflatten(0, (-1, self.block[0]))
        self.weight_scale_inv = _scale(tiles.amax((1, 3)))
        self.weight = _rounded(weight / self._spread(self.weight_scale_inv))

    def _spread(self, scale: Tensor) -> Tensor:
        rows, columns = self.weight_shape
        whole = scale.repeat_interleave(self.block[0], 0).repeat_interleave(self.block[1], 1)
        return whole[:rows, :columns]


def _scale(largest: Tensor) -> Tensor:
    return largest.clamp(min=torch.finfo(torch.float32).tiny) / LARGEST


def _rounded(values: Tensor) -> Tensor:
    return values.clamp(-LARGEST, LARGEST).to(FLOAT8)
