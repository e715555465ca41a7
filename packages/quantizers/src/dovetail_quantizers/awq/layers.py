"""The layers of AWQ, with the tensors that its checkpoints hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dovetail_quantizers import bits
from dovetail_quantizers.awq.configuration import AwqConfig
from dovetail_quantizers.grouped import GroupedLinear, nearest_codes, rounded_groups

CODES = 8
"""Codes in a word."""
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight columns lies in each half byte, from the lowest."""
PLACES = tuple(ORDER.index(column) for column in range(CODES))
PADDED = {32: 4, 64: 2}
"""Group size to the number of words of which the groups of GEMV's rows are a multiple."""


class WQLinear_GEMM(GroupedLinear):
    """`qweight` (in, out / 8) and `qzeros` (groups, out / 8) pack eight outputs, shuffled, into a
    word; `scales` (groups, out) in float16."""

    def __init__(self, layer: nn.Linear, name: str, config: AwqConfig) -> None:
        super().__init__(layer, name, config.bits, config.group_size)
        rows, columns = self.weight_shape
        groups = columns // self.group_size
        self.empty("qweight", (columns, rows // CODES), torch.int32)
        self.empty("qzeros", (groups, rows // CODES), torch.int32)
        self.empty("scales", (groups, rows), torch.float16)

    def codes(self) -> Tensor:
        """The integers (out, in)."""
        return _in_place(bits.unpack(self.qweight, self.bits), PLACES).t()

    def put_codes(self, codes: Tensor) -> None:
        """Pack the integers (out, in)."""
        self.qweight = bits.pack(_in_place(codes.t(), ORDER), self.bits)

    def scales_and_zeros(self) -> tuple[Tensor, Tensor]:
        """Two tensors (out, groups)."""
        zeros = _in_place(bits.unpack(self.qzeros, self.bits), PLACES)
        return self.scales.t().float(), zeros.t().float()

    def quantize(self, weight: Tensor) -> None:
        """Round to the nearest code."""
        scale, zero = rounded_groups(weight, self.bits, self.group_size, symmetric=False)
        self.scales = scale.half().t().contiguous()
        self.qzeros = bits.pack(_in_place(zero.t().to(torch.uint8), ORDER), self.bits)
        wide = scale.half().float()
        self.put_codes(nearest_codes(weight, wide, zero, self.bits, self.group_size))


class WQLinear_GEMV(GroupedLinear):
    """`qweight` (out, in / 8) packs eight inputs in order; `qzeros` (out, W) and `scales`
    (out, 8 W) are padded to a number of words that suits the kernel for which this was made."""

    def __init__(self, layer: nn.Linear, name: str, config: AwqConfig) -> None:
        super().__init__(layer, name, config.bits, config.group_size)
        rows, columns = self.weight_shape
        self.groups = columns // self.group_size
        factor = PADDED.get(self.group_size, 1)
        width = -(-self.groups // CODES)
        self.width = width = -(-width // factor) * factor
        self.empty("qweight", (rows, columns // CODES), torch.int32)
        self.empty("qzeros", (rows, width), torch.int32)
        self.empty("scales", (rows, width * CODES), torch.float16)

    def codes(self) -> Tensor:
        """The integers (out, in)."""
        return bits.unpack(self.qweight, self.bits)

    def put_codes(self, codes: Tensor) -> None:
        """Pack the integers (out, in)."""
        self.qweight = bits.pack(codes, self.bits)

    def scales_and_zeros(self) -> tuple[Tensor, Tensor]:
        """Two tensors (out, groups)."""
        zeros = bits.unpack(self.qzeros, self.bits)[:, : self.groups]
        return self.scales[:, : self.groups].float(), zeros.float()

    def quantize(self, weight: Tensor) -> None:
        """Round to the nearest code."""
        scale, zero = rounded_groups(weight, self.bits, self.group_size, symmetric=False)
        room = (0, self.width * CODES - self.groups)
        self.scales = nn.functional.pad(scale.half(), room)
        self.qzeros = bits.pack(nn.functional.pad(zero.to(torch.uint8), room), self.bits)
        wide = scale.half().float()
        self.put_codes(nearest_codes(weight, wide, zero, self.bits, self.group_size))


def _in_place(numbers: Tensor, order: tuple[int, ...]) -> Tensor:
    """Columns (..., 8 n), each eight of them in another order."""
    return numbers.unflatten(-1, (-1, CODES))[..., list(order)].flatten(-2)
