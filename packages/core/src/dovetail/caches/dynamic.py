"""The cache that grows with the text: the default."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dovetail.caches.base import Cache, CacheLayer, KeyValue

GROWTH = 128  # spare positions that a growing buffer reserves


class DynamicLayer(CacheLayer):
    """Grows with the text.

    Reserves some positions ahead, so that a token costs its own size and not a copy of all.
    """

    def __init__(self) -> None:
        self._buffers: KeyValue | None = None

    def length(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        if self.keys is None or self.values is None:
            self.keys, self.values = key, value
        elif torch.is_grad_enabled() and (key.requires_grad or self.keys.requires_grad):
            self._buffers = None  # autograd forbids writing in place
            self.keys = torch.cat((self.keys, key), 2)
            self.values = torch.cat((self.values, value), 2)
        else:
            start, more = self.keys.shape[2], key.shape[2]
            keys, values = self._reserve(self.keys, self.values, more)
            keys.narrow(2, start, more).copy_(key)
            values.narrow(2, start, more).copy_(value)
            self.keys, self.values = (
                keys.narrow(2, 0, start + more),
                values.narrow(2, 0, start + more),
            )
        return self.keys, self.values

    def _reserve(self, keys: Tensor, values: Tensor, more: int) -> KeyValue:
        """Buffers that begin with `keys` and `values` and have room for `more` positions."""
        length = keys.shape[2]
        if self._buffers is None or length + more > self._buffers[0].shape[2]:
            size = length + more + GROWTH + length // 4
            self._buffers = _extended(keys, size), _extended(values, size)
        return self._buffers

    def crop(self, length: int) -> None:
        if self.keys is not None and self.values is not None:
            length = self.kept(length)
            self.keys, self.values = self.keys[:, :, :length], self.values[:, :, :length]

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        self._buffers = None
        super().map(change)

    def reset(self) -> None:
        self._buffers = None
        super().reset()

    @property
    def nbytes(self) -> int:
        reserved = super().nbytes if self._buffers is None else 0
        return reserved + sum(tensor.nbytes for tensor in self._buffers or ())


def _extended(old: Tensor, size: int) -> Tensor:
    batch, heads, length, width = old.shape
    buffer = old.new_empty(batch, heads, size, width)
    buffer[:, :, :length] = old
    return buffer


class DynamicCache(Cache):
    """A cache which grows with the text: the default."""

    def __init__(self, num_hidden_layers: int | None = None) -> None:
        super().__init__([DynamicLayer() for _ in range(num_hidden_layers or 0)], DynamicLayer)
