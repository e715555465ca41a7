"""FBGEMM's products, which torch carries on x86 processors.

They read packed matrices at the memory's speed: bytes with byte activations, and 16-bit floats with
float32 arithmetic.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

ENGINE = "fbgemm"
BYTE = 127
EXPONENT = 15  # the largest power of two in float16


def obstacle() -> str | None:
    """Why FBGEMM cannot run here, None if it can."""
    if ENGINE not in torch.backends.quantized.supported_engines:
        return "this build of torch has no FBGEMM (it needs an x86 processor with AVX2)"
    return None


class Int8Product:
    """Rows of bytes with one scale each; activations become bytes on the fly, row by row.

    `weight` (out, in) is int8, `scale` (out, 1) float32.
    """

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        with _packing():
            quantized = torch._make_per_channel_quantized_tensor(
                weight.contiguous(), scale.flatten().double(), zeros, 0
            )
            self.packed = torch.ops.quantized.linear_prepack(quantized, None)
        self.sums = (weight.sum(1, dtype=torch.float32) * scale.flatten()).unsqueeze(0)
        # Without VNNI, sums of two products of full bytes overflow 16 bits.
        self.largest = BYTE if torch.cpu._is_vnni_supported() else BYTE // 2

    def __call__(self, x: Tensor) -> Tensor:
        """The product; rows do not influence each other, but one alone may be rounded otherwise."""
        rows = x.reshape(-1, x.size(-1))
        if len(rows) == 1:
            product = torch.ops.quantized.linear_dynamic(rows, self.packed, self.largest < BYTE)
        else:
            product = self._row_by_row(rows)
        return product.view(*x.shape[:-1], -1)

    def _row_by_row(self, rows: Tensor) -> Tensor:
        """The product with many rows, each rounded within its own range.

        The operator has one range for all: rows are brought to -1 to 1, and the part of the product
        that their middles make is added.
        """
        low, high = rows.aminmax(dim=-1, keepdim=True)
        middle, reach = (low + high) / 2, (high - low) / 2
        reach.clamp_(min=torch.finfo(rows.dtype).tiny)
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            (rows - middle) / reach, 1 / self.largest, self.largest + 1, self.packed
        )
        return product.mul_(reach).addmm_(middle, self.sums)

    def __reduce__(self) -> tuple[type, tuple[Tensor, ...]]:
        return type(self), self.unpacked()

    def unpacked(self) -> tuple[Tensor, Tensor]:
        """Weight and scale."""
        weight, _ = torch.ops.quantized.linear_unpack(self.packed)
        return weight.int_repr(), weight.q_per_channel_scales().float().unsqueeze(1)


class RowsProduct:
    """Numbers of 8 bits with one scale per row, multiplied in float32: nothing is rounded.

    `weight` (out, in) is int8 or float8, `scale` (out, 1) float32. It takes two bytes a number.
    """

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        self.dtype, self.scale = weight.dtype, scale.t().contiguous()
        with _packing():
            self.packed = torch.ops.quantized.linear_prepack_fp16(weight.float(), None)

    def __call__(self, x: Tensor) -> Tensor:
        """The product."""
        return torch.ops.quantized.linear_dynamic_fp16(x, self.packed).mul_(self.scale)

    def __reduce__(self) -> tuple[type, tuple[Tensor, ...]]:
        return type(self), self.unpacked()

    def unpacked(self) -> tuple[Tensor, Tensor]:
        """Weight and scale."""
        weight, _ = torch.ops.quantized.linear_unpack_fp16(self.packed)
        return weight.to(self.dtype), self.scale.t()


class HalfProduct:
    """A matrix in float16 times a power of two, multiplied in float32.

    `weight` (out, in) is of any floating-point type. Its values survive if they have 11
    significant bits and span 30 powers of two, as those of nearly all 16-bit checkpoints do.
    """

    def __init__(self, weight: Tensor) -> None:
        reach = weight.abs().max().item() if weight.numel() else 0.0
        spare = EXPONENT - 1 - math.frexp(reach)[1] if 0 < reach < math.inf else 0
        self.factor = 2.0**spare
        with _packing():
            self.packed = torch.ops.quantized.linear_prepack_fp16(
                weight.float() * self.factor, None
            )

    def __call__(self, x: Tensor) -> Tensor:
        """The product."""
        product = torch.ops.quantized.linear_dynamic_fp16(x, self.packed)
        return product if self.factor == 1 else product.div_(self.factor)

    def __reduce__(self) -> tuple[type, tuple[Tensor, ...]]:
        return type(self), self.unpacked()

    def unpacked(self) -> tuple[Tensor]:
        """The weight, in float32."""
        weight, _ = torch.ops.quantized.linear_unpack_fp16(self.packed)
        return (weight / self.factor,)

    @classmethod
    def lossless(cls, weight: Tensor) -> HalfProduct | None:
        """The product with `weight`, None if its values do not survive."""
        product = cls(weight)
        return product if torch.equal(product.unpacked()[0], weight.float()) else None


@contextmanager
def _packing() -> Iterator[None]:
    """Within: operators pack for FBGEMM, and torch does not announce that they may go one day."""
    before = torch.backends.quantized.engine
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quantized tensor", category=UserWarning)
        torch.backends.quantized.engine = ENGINE
        try:
            yield
        finally:
            torch.backends.quantized.engine = before
