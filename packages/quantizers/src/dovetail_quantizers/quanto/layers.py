"""The layers of Quanto, with the tensors that its checkpoints hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dovetail_quantizers.layers import PackedLinear
from dovetail_quantizers.quanto.configuration import QuantoConfig

FLOAT8 = torch.float8_e4m3fn
LARGEST = {"int8": 127.0, "float8": torch.finfo(FLOAT8).max}
BYTES = {"int8": torch.int8, "float8": FLOAT8}
WIDTHS = {"int4": 4, "int2": 2}
GROUP, STEP = 128, 32


def group_size(columns: int) -> int:
    """Columns that share a scale: the first of 128, 96, 64 and 32 that divides, else a row."""
    sizes = (size for size in range(GROUP, 0, -STEP) if columns % size == 0)
    return next(sizes, columns)


class QLinear(PackedLinear):
    """What all share: `input_scale` and `output_scale`, 1 unless activations were calibrated."""

    def __init__(self, layer: nn.Linear, config: QuantoConfig) -> None:
        super().__init__(layer)
        self.activations = config.activations
        for name in ("input_scale", "output_scale"):
            self.empty(name, (), self.dtype)

    def checkpoint_name(self, buffer: str) -> str:
        """Tensors of the weight lie under its name."""
        return buffer if buffer.endswith("put_scale") else f"weight.{buffer}"

    def forward(self, x: Tensor) -> Tensor:
        """The product, of rounded activations if these were calibrated."""
        if self.activations is not None:
            x = self._rounded(x)
        return super().forward(x)

    def is_mere_product(self) -> bool:
        """Unless activations are rounded."""
        return self.activations is None

    def _rounded(self, x: Tensor) -> Tensor:
        assert self.activations is not None
        limit, scale = LARGEST[self.activations], self.input_scale
        shares = (x / scale).clamp(-limit, limit)
        kept = shares.round() if self.activations == "int8" else shares.to(FLOAT8).to(x.dtype)
        return kept * scale

    def calibrate(self, largest: float) -> None:
        """Set the range of the input to ±`largest`, what was seen."""
        if self.activations is not None and largest > 0:
            self.input_scale = torch.tensor(largest / LARGEST[self.activations], dtype=self.dtype)

    def quantize(self, weight: Tensor) -> None:
        """Round the weight; ranges of activations are unknown as yet."""
        self.input_scale = torch.ones((), dtype=weight.dtype, device=weight.device)
        self.output_scale = self.input_scale.clone()
        self._quantize(weight)

    def _quantize(self, weight: Tensor) -> None:
        raise TypeError(f"{type(self).__name__} is a base class.")

    def empty(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Register a buffer that a checkpoint fills."""
        self.register_buffer(name, torch.empty(shape, dtype=dtype, device="meta"))


class QBytesLinear(QLinear):
    """`weight._data` (out, in) in int8 or float8, `weight._scale` (out, 1)."""

    def __init__(self, layer: nn.Linear, config: QuantoConfig) -> None:
        super().__init__(layer, config)
        self.kind = "rows"
        self.weights = config.weights
        self.empty("_data", self.weight_shape, BYTES[config.weights])
        self.empty("_scale", (self.out_features, 1), self.dtype)

    def dequantized(self) -> Tensor:
        """The weight in the type of its scales."""
        return self._data.to(self._scale.dtype) * self._scale

    def _quantize(self, weight: Tensor) -> None:
        limit = LARGEST[self.weights]
        self._scale = weight.abs().amax(1, keepdim=True) / limit
        shares = weight / self._scale.clamp(min=torch.finfo(weight.dtype).tiny)
        shares = shares.round() if self.weights == "int8" else shares
        self._data = shares.clamp(-limit, limit).to(BYTES[self.weights])

    def held(self) -> tuple[Tensor, ...]:
        """Weight and scale."""
        return self._data, self._scale.float()

    def take_back(self, *held: Tensor) -> None:
        """Put the weight into its buffer; the scales never left."""
        self._data = held[0]

    def release(self) -> None:
        """Let go of the weight."""
        self._buffers["_data"] = None


class QBitsLinear(QLinear):
    """Groups of columns as rows of a matrix (out * groups, size): `weight._data._data` packs its
    parts one above the other in the bits of a byte, the first lowest; `weight._scale` and
    `weight._shift` for each row. A weight is ``code * scale - shift``.
    """

    def __init__(self, layer: nn.Linear, config: QuantoConfig) -> None:
        super().__init__(layer, config)
        self.bits = WIDTHS[config.weights]
        self.size = group_size(self.in_features)
        self.rows = self.out_features * self.in_features // self.size
        per_byte = 8 // self.bits
        self.empty("_data", (-(-self.rows // per_byte), self.size), torch.uint8)
        self.empty("_scale", (self.rows, 1), self.dtype)
        self.empty("_shift", (self.rows, 1), self.dtype)

    def checkpoint_name(self, buffer: str) -> str:
        """The codes lie one level deeper than the rest."""
        return "weight._data._data" if buffer == "_data" else super().checkpoint_name(buffer)

    def dequantized(self) -> Tensor:
        """The weight in the type of its scales."""
        shifts = range(0, 8, self.bits)
        parts = [self._data >> shift & (2**self.bits - 1) for shift in shifts]
        codes: Any = torch.cat(parts)[: self.rows]
        return (codes * self._scale - self._shift).view(self.weight_shape)

    def _quantize(self, weight: Tensor) -> None:
        groups = weight.reshape(-1, self.size)
        low, high = groups.amin(1, keepdim=True), groups.amax(1, keepdim=True)
        last = 2**self.bits - 1
        self._scale, self._shift = (high - low) / last, -low
        steps = self._scale.clamp(min=torch.finfo(weight.dtype).tiny)
        codes = ((groups + self._shift) / steps).round().clamp(0, last).to(torch.uint8)
        per_byte = 8 // self.bits
        parts = nn.functional.pad(codes, (0, 0, 0, -len(codes) % per_byte)).chunk(per_byte)
        word = torch.zeros_like(parts[0])
        for rank, part in enumerate(parts):
            word |= part << self.bits * rank
        self._data = word
