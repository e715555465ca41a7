"""Caches for layers that see a window of the text only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.caches.kinds import layer_windows
from dovetail.caches.states import StateLayer
from dovetail.caches.static import StaticLayer


class SlidingWindowLayer(CacheLayer):
    """Keeps the last ``window - 1`` positions: all that the next one may see besides itself."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.seen = 0

    def length(self) -> int:
        return self.seen

    def key_length(self, query_length: int) -> int:
        return (0 if self.keys is None else self.keys.shape[2]) + query_length

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        """Returns what was kept and the new positions, be they more than the window."""
        if self.keys is not None and self.values is not None:
            key = torch.cat((self.keys, key), 2)
            value = torch.cat((self.values, value), 2)
        self.seen += key.shape[2] - (0 if self.keys is None else self.keys.shape[2])
        first = max(key.shape[2] - self.window + 1, 0)
        self.keys, self.values = key[:, :, first:], value[:, :, first:]
        return key, value

    def crop(self, length: int) -> None:
        dropped = self.seen - length if length >= 0 else -length
        if self.keys is None or self.values is None or dropped <= 0:
            return
        kept = self.keys.shape[2]
        if dropped < self.seen and self.seen > kept:
            raise ValueError(
                f"A sliding-window cache that holds the last {kept} of {self.seen} positions "
                f"cannot go back by {dropped}: use a DynamicCache, which forgets nothing."
            )
        self.seen = max(self.seen - dropped, 0)
        self.keys, self.values = self.keys[:, :, : self.seen], self.values[:, :, : self.seen]

    def reset(self) -> None:
        self.seen = 0
        super().reset()


class HybridCache(Cache):
    """Layers with a window keep that window, recurrent ones their state, and the others have a
    fixed size as in `StaticCache`."""

    def __init__(
        self,
        config: Any,
        max_batch_size: int | None = None,
        max_cache_len: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        batch_size: int | None = None,
    ) -> None:
        length = max_cache_len or config.get_text_config().max_position_embeddings
        super().__init__([_layer(window, length) for window in layer_windows(config)])
        self.max_cache_len, self.max_batch_size = length, max_batch_size or batch_size


def _layer(window: int | None, length: int) -> CacheLayer:
    if window is None:
        return StaticLayer(length)
    return SlidingWindowLayer(window) if window else StateLayer()


class SlidingWindowCache(HybridCache):
    """A cache for models that see a window in every layer: memory does not grow with the text."""

    def __init__(
        self,
        config: Any,
        max_batch_size: int | None = None,
        max_cache_len: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        batch_size: int | None = None,
    ) -> None:
        if None in layer_windows(config):
            raise ValueError(
                f"SlidingWindowCache: {type(config).__name__} has layers without a window "
                "(sliding_window is None, or only some use it): use a HybridCache or DynamicCache."
            )
        super().__init__(config, max_batch_size, max_cache_len, device, dtype, batch_size)
