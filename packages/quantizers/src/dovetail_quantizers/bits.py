"""Small integers packed into words."""

from __future__ import annotations

import torch
from torch import Tensor

WORD = 32


def unpack(words: Tensor, bits: int) -> Tensor:
    """Numbers of `bits` bits (..., n * 32 / bits), uint8, from 32-bit words (..., n).

    The numbers follow each other as in one long word, lowest bits first, so that those of 3, 5, 6
    or 7 bits may lie across two.
    """
    mask = 2**bits - 1
    if WORD % bits == 0:
        shifts = torch.arange(0, WORD, bits, dtype=torch.int32, device=words.device)
        return (words.unsqueeze(-1) >> shifts & mask).to(torch.uint8).flatten(-2)
    starts = torch.arange(0, words.shape[-1] * WORD, bits, device=words.device)
    starts = starts[: words.shape[-1] * WORD // bits]
    unsigned = words.to(torch.int64) & (2**WORD - 1)
    padded = torch.nn.functional.pad(unsigned, (0, 1))
    pairs = padded[..., :-1] | padded[..., 1:] << WORD  # the sign bit is among the last: masked
    return (pairs[..., starts // WORD] >> (starts % WORD) & mask).to(torch.uint8)


def pack(numbers: Tensor, bits: int) -> Tensor:
    """The words (..., n * bits / 32), int32, from which `unpack` reads `numbers` (..., n)."""
    count = numbers.shape[-1]
    shifts = torch.arange(bits, device=numbers.device)
    stream = (numbers.to(torch.int64).unsqueeze(-1) >> shifts & 1).flatten(-2)
    stream = torch.nn.functional.pad(stream, (0, -count * bits % WORD)).unflatten(-1, (-1, WORD))
    values = (stream << torch.arange(WORD, device=numbers.device)).sum(-1)
    return values.to(torch.int32)
