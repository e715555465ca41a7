"""Numbers of few bits for floats: groups of values in steps from their least to their greatest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

BYTE = 8


@dataclass(frozen=True)
class Grouping:
    """`size` neighbouring values share least value and step: channels of one position, or, with
    `by_position`, positions of one channel. They are numbered in `nbits` bits."""

    nbits: int
    size: int
    by_position: bool

    def split(self, states: Tensor) -> Tensor:
        """States (B, S, C) as groups: (B, S / size, size, C) or (B, S, C / size, size)."""
        return states.unflatten(1 if self.by_position else 2, (-1, self.size))

    def join(self, groups: Tensor) -> Tensor:
        """The states (B, S, C) of `groups`."""
        return groups.flatten(1, 2) if self.by_position else groups.flatten(2, 3)

    @property
    def within(self) -> int:
        """The dimension of groups along which their members are."""
        return 2 if self.by_position else 3


@dataclass
class Quantized:
    """States (B, S, C) as numbers: `codes` (B, S, C * nbits / 8) are bytes, in which the first of
    neighbouring channels has the lowest bits; value = least + number * step, group by group."""

    grouping: Grouping
    codes: Tensor
    least: Tensor
    step: Tensor

    @classmethod
    def of(cls, states: Tensor, grouping: Grouping, dtype: torch.dtype) -> Quantized:
        """Quantize `states` (B, S, C), with least values and steps in `dtype`.

        Both are rounded outwards, so that no value is off by more than half a step.
        """
        groups = grouping.split(states.float())
        slack = torch.finfo(dtype).eps
        least = groups.amin(grouping.within, keepdim=True)
        greatest = groups.amax(grouping.within, keepdim=True)
        least = (least - least.abs() * slack).to(dtype)
        highest = 2**grouping.nbits - 1
        step = ((greatest - least.float()) / highest * (1 + slack)).to(dtype)
        divisor = step.float().masked_fill(step == 0, 1.0)  # all values of the group are equal
        codes = ((groups - least.float()) / divisor).round_().clamp_(0, highest)
        packed = pack(grouping.join(codes).to(torch.uint8), grouping.nbits)
        return cls(grouping, packed, least, step)

    def restore(self, dtype: torch.dtype) -> Tensor:
        """The states (B, S, C), each off by half a step at most."""
        codes = self.grouping.split(unpack(self.codes, self.grouping.nbits).float())
        return self.grouping.join(torch.addcmul(self.least.float(), codes, self.step.float())).to(
            dtype
        )

    def extended(self, more: Quantized) -> Quantized:
        """These positions and then those of `more`."""
        pairs = ((self.codes, more.codes), (self.least, more.least), (self.step, more.step))
        return Quantized(self.grouping, *(torch.cat(pair, 1) for pair in pairs))

    def first(self, length: int) -> Quantized:
        """The first `length` positions: whole groups of them."""
        groups = length // self.grouping.size if self.grouping.by_position else length
        return Quantized(
            self.grouping, self.codes[:, :length], self.least[:, :groups], self.step[:, :groups]
        )

    def changed(self, change: Callable[[Tensor], Tensor]) -> Quantized:
        """``change`` of all tensors (batch first)."""
        return Quantized(self.grouping, change(self.codes), change(self.least), change(self.step))

    @property
    def length(self) -> int:
        """Number of positions."""
        return self.codes.shape[1]


def pack(codes: Tensor, nbits: int) -> Tensor:
    """Numbers (..., C) below ``2 ** nbits`` as bytes (..., C * nbits / 8)."""
    if nbits == BYTE:
        return codes
    shifts = torch.arange(0, BYTE, nbits, device=codes.device, dtype=torch.uint8)
    return (codes.unflatten(-1, (-1, BYTE // nbits)) << shifts).sum(-1, dtype=torch.uint8)


def unpack(packed: Tensor, nbits: int) -> Tensor:
    """The numbers (..., C) in bytes (..., C * nbits / 8)."""
    if nbits == BYTE:
        return packed
    shifts = torch.arange(0, BYTE, nbits, device=packed.device, dtype=torch.uint8)
    return ((packed[..., None] >> shifts) & (2**nbits - 1)).flatten(-2)
