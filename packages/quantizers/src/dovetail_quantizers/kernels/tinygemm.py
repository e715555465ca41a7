"""Torch's product with groups of 4-bit numbers, in bfloat16."""

from __future__ import annotations

import torch
from torch import Tensor

GROUPS = (32, 64, 128, 256)
MIDDLE = 8  # the code that stands for the group's zero


def obstacle() -> str | None:
    """Why the operator is of no use here, None if it is."""
    if not hasattr(torch.ops.aten, "_weight_int4pack_mm_for_cpu"):
        return "this build of torch has no 4-bit product for processors"
    if not torch.cpu._is_avx2_supported():
        return "the processor has no AVX2"
    return None


def accepts(rows: int, columns: int, group_size: int) -> bool:
    """Whether a matrix of this shape and group size can be packed."""
    return group_size in GROUPS and columns % group_size == 0 and rows % 16 == 0


class Int4Product:
    """A matrix ``code * scale + offset``, whose scales and offsets belong to groups of columns.

    `codes` (out, in) hold 0 to 15; `scale` and `offset` are (out, in / group). The arithmetic is
    bfloat16 with float32 sums.
    """

    def __init__(self, codes: Tensor, scale: Tensor, offset: Tensor) -> None:
        self.shape = tuple(codes.shape)
        self.group_size = codes.shape[1] // scale.shape[1]
        self.packed = torch._convert_weight_to_int4pack_for_cpu(codes.to(torch.int32), 1)
        zero = offset.float() + MIDDLE * scale.float()
        self.scales = torch.stack((scale.float(), zero), -1).transpose(0, 1).bfloat16().contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """The product."""
        rows = x.reshape(-1, x.size(-1)).bfloat16()
        return self._multiply(rows, self.scales).float().view(*x.shape[:-1], -1)

    def __reduce__(self) -> tuple[type, tuple[Tensor, ...]]:
        return type(self), self.unpacked()

    def unpacked(self) -> tuple[Tensor, Tensor, Tensor]:
        """Codes, scale and offset: what a product with ones and zeros reads."""
        plain = torch.zeros_like(self.scales)
        plain[..., 0] = 1
        columns = [
            self._multiply(
                torch.eye(self.shape[1], dtype=torch.bfloat16)[start : start + 256], plain
            )
            for start in range(0, self.shape[1], 256)
        ]
        codes = torch.cat(columns).t().add(MIDDLE).to(torch.uint8)
        scale, zero = self.scales.float().unbind(-1)
        return codes, scale.t(), (zero - MIDDLE * scale).t()

    def _multiply(self, rows: Tensor, scales: Tensor) -> Tensor:
        return torch.ops.aten._weight_int4pack_mm_for_cpu(
            rows, self.packed, self.group_size, scales
        )
