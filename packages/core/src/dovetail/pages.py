"""Memory for weights and large batches in the processor's large pages.

Reading a matrix at the memory's speed, a core looks up an address for each page of 4 KiB; pages of
2 MiB, which Linux gives to those who ask, make that 5 to 10 % faster.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from contextlib import suppress
from math import prod

import torch
from torch import Tensor

PAGE = 1 << 21
PIECE = 32 * PAGE  # bytes asked for at a time; what is not written to takes no memory
LINE = 64  # bytes; products read fastest from the start of a cache line


WORTHWHILE = 1 << 24  # bytes; smaller memory is soon at hand


def blank(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor on the CPU, full of zeros, in large pages if it is large: the system hands out a few
    of these much faster than thousands of small ones."""
    if prod(shape) * dtype.itemsize < WORTHWHILE:
        return torch.zeros(*shape, dtype=dtype)
    return LargePages().empty(shape, dtype)  # memory from the system is zeros


class LargePages:
    """Gives out uninitialised tensors on the CPU, one behind the other in large pages.

    Each has a storage of its own size; the memory of a piece returns to the system with the last
    tensor in it.
    """

    def __init__(self) -> None:
        self._start = self._end = 0
        self._piece: mmap.mmap | None = None

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor of `shape`, which must not be empty."""
        count = prod(shape)
        size = count * dtype.itemsize
        if self._piece is None or self._start + size > self._end:
            self._renew(size)
        memory, offset = self._piece, self._start
        self._start += -(-size // LINE) * LINE
        flat = torch.frombuffer(memory, dtype=dtype, count=count, offset=offset)
        return flat.view(*shape)

    def _renew(self, size: int) -> None:
        length = max(PIECE, -(-size // PAGE) * PAGE)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._piece = mmap.mmap(-1, length + PAGE, flags=flags)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                self._piece.madvise(mmap.MADV_HUGEPAGE)
        address = torch.frombuffer(self._piece, dtype=torch.uint8, count=1).data_ptr()
        self._start = -address % PAGE
        self._end = self._start + length
