"""The packed layers of Dovetail's own methods."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail_quantizers.kernels import tinygemm
from dovetail_quantizers.layers import PackedEmbedding, PackedLinear

MAX_CODE = 127
LAST_CODE = 15
HALVES = (torch.bfloat16, torch.float16)


def rows_of_bytes(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (out, in) as int8 and a float32 scale (out, 1) per row, so that ±127 is the largest
    value of a row."""
    weight = weight.float()
    scale = weight.abs().amax(1, keepdim=True).clamp_(min=torch.finfo(torch.float32).tiny)
    scale = scale.div_(MAX_CODE)
    return (weight / scale).round_().to(torch.int8), scale


class Int8Linear(PackedLinear):
    """`weight` (out, in) in int8, `weight_scale` (out, 1) in float32."""

    kind = "int8"

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        shape, meta = (self.out_features, self.in_features), torch.device("meta")
        self.register_buffer("weight", torch.empty(shape, dtype=torch.int8, device=meta))
        self.register_buffer("weight_scale", torch.empty(shape[0], 1, device=meta))

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        return self.weight * self.weight_scale

    def quantize(self, weight: Tensor) -> None:
        """Round every row to multiples of its scale."""
        self.take_back(*rows_of_bytes(weight))

    def held(self) -> tuple[Tensor, ...]:
        """Weight and scale."""
        return self.weight, self.weight_scale.float()

    def take_back(self, *held: Tensor) -> None:
        """Put weight and scale into the buffers."""
        self.weight, self.weight_scale = held


class Int8Embedding(PackedEmbedding):
    """`weight` (V, D) in int8, `weight_scale` (V, 1) in float32."""

    kind = "int8"

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__(embedding)
        shape, meta = embedding.weight.shape, torch.device("meta")
        self.register_buffer("weight", torch.empty(shape, dtype=torch.int8, device=meta))
        self.register_buffer("weight_scale", torch.empty(shape[0], 1, device=meta))

    def forward(self, input: Tensor) -> Tensor:
        """Vectors (..., D) of ids (...)."""
        rows = F.embedding(input, self.weight) * F.embedding(input, self.weight_scale)
        return rows.to(self.dtype)

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        return self.weight * self.weight_scale

    def quantize(self, weight: Tensor) -> None:
        """Round every row to multiples of its scale."""
        self.weight, self.weight_scale = rows_of_bytes(weight)

    def held(self) -> tuple[Tensor, ...]:
        """Weight and scale."""
        return self.weight, self.weight_scale.float()


class Int4Linear(PackedLinear):
    """`weight` (out, in / 2) in uint8, two codes in a byte, the even column in its low half;
    `weight_scale` and `weight_offset` (out, in / group) in bfloat16.

    A weight is ``code * scale + offset``.
    """

    kind = "int4"

    def __init__(self, linear: nn.Linear, group_size: int) -> None:
        super().__init__(linear)
        self.group_size = group_size
        rows, columns, meta = self.out_features, self.in_features, torch.device("meta")
        self.register_buffer(
            "weight", torch.empty(rows, columns // 2, dtype=torch.uint8, device=meta)
        )
        for name in ("weight_scale", "weight_offset"):
            shape = (rows, columns // group_size)
            self.register_buffer(name, torch.empty(shape, dtype=torch.bfloat16, device=meta))

    def fits_kernel(self) -> bool:
        """Whether the kernel takes this shape."""
        return tinygemm.accepts(self.out_features, self.in_features, self.group_size)

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        codes, scale, offset = self.held()
        grouped = codes.unflatten(1, (-1, self.group_size))
        return (grouped * scale.float().unsqueeze(2) + offset.float().unsqueeze(2)).flatten(1)

    def quantize(self, weight: Tensor) -> None:
        """Spread the 16 codes over the range of each group, zero included."""
        grouped = weight.float().unflatten(1, (-1, self.group_size))
        low, high = grouped.amin(2).clamp_(max=0), grouped.amax(2).clamp_(min=0)
        scale = ((high - low) / LAST_CODE).clamp_(min=1e-8).bfloat16()
        zero = (-low / scale.float()).round_()
        offset = (-zero * scale.float()).bfloat16()
        codes = (grouped - offset.float().unsqueeze(2)) / scale.float().unsqueeze(2)
        codes = codes.round_().clamp_(0, LAST_CODE).flatten(1).to(torch.uint8)
        self.take_back(codes, scale, offset)

    def held(self) -> tuple[Tensor, ...]:
        """Codes, scale and offset."""
        codes = torch.stack((self.weight & LAST_CODE, self.weight >> 4), -1).flatten(1)
        return codes, self.weight_scale, self.weight_offset

    def take_back(self, *held: Tensor) -> None:
        """Put codes, scale and offset into the buffers."""
        codes, scale, offset = held
        self.weight = codes[:, ::2] | (codes[:, 1::2] << 4)
        self.weight_scale, self.weight_offset = scale.bfloat16(), offset.bfloat16()


class HalfLinear(PackedLinear):
    """`weight` (out, in) as it is; a kernel holds it in 16 bits where that loses nothing."""

    kind = "half"

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        shape = (self.out_features, self.in_features)
        self.register_buffer("weight", torch.empty(shape, device="meta"))

    def dequantized(self) -> Tensor:
        """The weight."""
        return self.weight

    def quantize(self, weight: Tensor) -> None:
        """Keep the weight."""
        self.weight = weight

    def held(self) -> tuple[Tensor, ...]:
        """The weight."""
        return (self.weight,)

    def take_back(self, *held: Tensor) -> None:
        """Put the weight into the buffer."""
        (self.weight,) = held


class HalfEmbedding(PackedEmbedding):
    """`weight` (V, D) in the first 16-bit type that loses nothing, in full if there is none."""

    kind = "half"

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__(embedding)
        self.register_buffer("weight", torch.empty(embedding.weight.shape, device="meta"))

    def forward(self, input: Tensor) -> Tensor:
        """Vectors (..., D) of ids (...)."""
        return F.embedding(input, self.weight).to(self.dtype)

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        return self.weight.float()

    def quantize(self, weight: Tensor) -> None:
        """Keep the weight, in 16 bits if it fits."""
        fits = (half for half in HALVES if torch.equal(weight.to(half).to(weight.dtype), weight))
        self.weight = weight.to(next(fits, weight.dtype))

    def held(self) -> tuple[Tensor, ...]:
        """The weight."""
        return (self.weight,)
