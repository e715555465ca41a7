"""Caches of fixed size for layers that see a window of the text only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dovetail.caches.base import CacheLayer, KeyValue
from dovetail.caches.kinds import layer_windows
from dovetail.caches.static import StaticCache, StaticLayer


class SlidingWindowLayer(StaticLayer):
    """A ring of the last `window` positions: all that the next one may see, itself included.

    Position ``p`` is kept in place ``p % window``. One new position is written first, and attends
    to the ring; several attend to the ring as it was and to each other, be they more than it holds.
    A text of at most `max_cache_len` positions needs no larger ring than that.
    """

    def __init__(self, window: int, max_cache_len: int | None = None) -> None:
        super().__init__(min(window, max_cache_len or window))
        self.window = window

    def max_length(self) -> int | None:
        return self.max_cache_len if self.max_cache_len < self.window else None

    def key_length(self, query_length: int) -> int:
        return self.max_cache_len + (query_length if query_length > 1 else 0)

    def key_positions(self, cache_position: Tensor) -> Tensor | None:
        single = cache_position.shape[0] == 1
        newest = cache_position[-1] if single else cache_position[0] - 1
        places = torch.arange(self.max_cache_len, device=cache_position.device)
        held = newest - (newest - places) % self.max_cache_len
        return held if single else torch.cat((held, cache_position))

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        keys, values, positions = self._open(key, value, cache_position)
        if key.shape[2] > 1:
            keys, values = torch.cat((keys, key), 2), torch.cat((values, value), 2)
        last = slice(-self.max_cache_len, None)
        self._write(key[:, :, last], value[:, :, last], positions[last])
        return keys, values

    def _slots(self, positions: Tensor) -> Tensor:
        return positions % self.max_cache_len

    def crop(self, length: int) -> None:
        seen, kept = self.length(), self.kept(length)
        if self.seen is None or kept == seen:
            return
        # The next position sees `window - 1` earlier ones, and the ring holds one more.
        if kept and seen > self.max_cache_len and seen - kept > 1:
            raise ValueError(
                f"A sliding-window cache that holds the last {self.max_cache_len} of {seen} "
                f"positions cannot go back by {seen - kept}: use a DynamicCache, which forgets "
                "nothing."
            )
        self.seen.fill_(kept)

    def tensors(self) -> tuple[Tensor, ...]:
        if self.keys is None or self.values is None:
            return super().tensors()
        seen = self.length()
        held = torch.arange(max(seen - self.max_cache_len, 0), seen, device=self.keys.device)
        slots = self._slots(held)
        return self.keys.index_select(2, slots), self.values.index_select(2, slots)


class HybridCache(StaticCache):
    """Layers with a window keep that window, recurrent ones their state, and the others have a
    fixed size as in `StaticCache`."""

    def _make_layer(self, window: int | None, length: int) -> CacheLayer:
        return SlidingWindowLayer(window, length) if window else super()._make_layer(window, length)


class SlidingWindowCache(HybridCache):
    """A cache for models that see a window in every layer: memory does not grow with the text."""

    def __init__(
        self,
        config: Any,
        batch_size: int | None = None,
        max_cache_len: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        max_batch_size: int | None = None,
        layer_device_map: Mapping[int, torch.device | str | int] | None = None,
    ) -> None:
        if None in layer_windows(config):
            raise ValueError(
                f"SlidingWindowCache: {type(config).__name__} has layers without a window "
                "(sliding_window is None, or only some use it): use a HybridCache or DynamicCache."
            )
        super().__init__(
            config, batch_size, max_cache_len, device, dtype, max_batch_size, layer_device_map
        )
