"""Blocks of numbers as codes of a table times the block's largest magnitude.

The tables: NF4 (quantiles of the normal distribution, arXiv 2305.14314, appendix E), FP4 (two bits
of exponent, one of mantissa), and the dynamic table of 256 numbers (arXiv 2110.02861) for scales.
"""

from __future__ import annotations

import torch
from torch import Tensor

NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
FP4_MAGNITUDES = (0.0, 1 / 192, 2 / 3, 1.0, 1 / 3, 1 / 2, 1 / 6, 1 / 4)
TABLES = {"nf4": NF4, "fp4": (*FP4_MAGNITUDES, *(-value for value in FP4_MAGNITUDES))}


def table(code: str) -> Tensor:
    """The 16 numbers of ``"nf4"`` or ``"fp4"``, in the order of their codes."""
    return torch.tensor(TABLES[code], dtype=torch.float32)


def dynamic_table() -> Tensor:
    """The 256 numbers of the dynamic data type, ascending.

    Each power of ten down to 10^-6 is divided more finely than the one below it, for both signs;
    0 and 1 complete the table.
    """
    numbers = [torch.zeros(1), torch.ones(1)]
    for power in range(7):
        edges = torch.linspace(0.1, 1, 2**power + 1)
        middles = (edges[:-1] + edges[1:]) / 2 * 10.0 ** (power - 6)
        numbers += [middles, -middles]
    return torch.cat(numbers).sort().values


def blocks_of(values: Tensor, size: int) -> Tensor:
    """`values` in rows of `size`, the last filled up with zeros."""
    flat = values.flatten()
    return torch.nn.functional.pad(flat, (0, -len(flat) % size)).view(-1, size)


def quantize(values: Tensor, numbers: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Codes (one for each of `values`, uint8) and the magnitudes (blocks) that they multiply."""
    blocks = blocks_of(values.float(), size)
    largest = blocks.abs().amax(1)
    shares = blocks / largest.clamp(min=torch.finfo(torch.float32).tiny).unsqueeze(1)
    ordered, codes = numbers.sort(stable=True)
    nearest = torch.bucketize(shares, (ordered[:-1] + ordered[1:]) / 2)
    return codes[nearest].flatten()[: values.numel()].to(torch.uint8), largest


def dequantize(codes: Tensor, numbers: Tensor, magnitudes: Tensor, size: int) -> Tensor:
    """The values (as many as codes) in float32."""
    blocks = blocks_of(numbers[codes.int()], size) * magnitudes.unsqueeze(1)
    return blocks.flatten()[: codes.numel()]


def pack(codes: Tensor) -> Tensor:
    """Two codes in a byte (N / 2, 1), the first in its high half."""
    if len(codes) % 2:
        codes = torch.cat((codes, codes.new_zeros(1)))
    return (codes[::2] << 4 | codes[1::2]).unsqueeze(1)


def unpack(packed: Tensor) -> Tensor:
    """The codes of `pack`, one per element."""
    packed = packed.flatten()
    return torch.stack((packed >> 4, packed & 15), 1).flatten()
