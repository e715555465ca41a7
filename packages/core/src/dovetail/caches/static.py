"""The cache of fixed size, for compiled and exported decoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.caches.kinds import key_value_shape, layer_windows
from dovetail.caches.states import StateLayer
from dovetail.errors import GenerationError


class StaticLayer(CacheLayer):
    """A block of fixed size, written in place: shapes never change, so one compiled graph serves
    every step."""

    def __init__(self, max_cache_len: int) -> None:
        self.max_cache_len = max_cache_len
        self.seen: Tensor | None = None

    def allocate(
        self,
        batch: int,
        heads: int,
        key_width: int,
        value_width: int,
        device: Any,
        dtype: torch.dtype,
    ) -> None:
        """Reserve the block; called by the first `update` when nobody did before."""
        shape = batch, heads, self.max_cache_len
        self.keys = torch.zeros(*shape, key_width, device=device, dtype=dtype)
        self.values = torch.zeros(*shape, value_width, device=device, dtype=dtype)
        self.seen = torch.zeros((), dtype=torch.long, device=device)

    def length(self) -> int:
        return 0 if self.seen is None else int(self.seen)

    def key_length(self, query_length: int) -> int:
        return self.max_cache_len

    def key_positions(self, cache_position: Tensor) -> Tensor | None:
        return torch.arange(self.max_cache_len, device=cache_position.device)

    def max_length(self) -> int | None:
        return self.max_cache_len

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        keys, values, positions = self._open(key, value, cache_position)
        self._write(key, value, positions)
        return keys, values

    def _open(
        self, key: Tensor, value: Tensor, cache_position: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The block, reserved if it was not, and the positions of what is to be added."""
        if self.keys is None:
            batch, heads, _, width = key.shape
            self.allocate(batch, heads, width, value.shape[-1], key.device, key.dtype)
        keys, values, seen = cast(
            "tuple[Tensor, Tensor, Tensor]", (self.keys, self.values, self.seen)
        )
        if key.shape[:2] != keys.shape[:2] or key.shape[3] != keys.shape[3]:
            raise GenerationError(
                f"the cache is reserved for {tuple(keys.shape)} rows, heads, positions and width, "
                f"and keys of {tuple(key.shape)} are to be added: make it for this model and batch"
            )
        if cache_position is None:
            cache_position = torch.arange(key.shape[2], device=key.device) + seen
        return keys, values, cache_position

    def _write(self, key: Tensor, value: Tensor, positions: Tensor) -> None:
        """Put keys and values at their `positions`."""
        keys, values, seen = cast(
            "tuple[Tensor, Tensor, Tensor]", (self.keys, self.values, self.seen)
        )
        slots = self._slots(positions)
        keys.index_copy_(2, slots, key.to(keys.dtype))
        values.index_copy_(2, slots, value.to(values.dtype))
        seen.copy_(positions[-1] + 1)

    def _slots(self, positions: Tensor) -> Tensor:
        """Where in the block `positions` are kept."""
        return positions

    def crop(self, length: int) -> None:
        if self.seen is not None:
            self.seen.clamp_(max=self.kept(length))

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        super().map(change)
        if self.seen is not None and self.keys is not None:  # a count of its own for a copy
            self.seen = self.seen.to(self.keys.device, copy=True)

    def tensors(self) -> tuple[Tensor, ...]:
        if self.keys is None or self.values is None:
            return super().tensors()
        return self.keys[:, :, : self.length()], self.values[:, :, : self.length()]

    def reset(self) -> None:
        for tensor in (self.keys, self.values, self.seen):
            if tensor is not None:
                tensor.zero_()


class StaticCache(Cache):
    """A cache of fixed size ``(batch_size, K, max_cache_len, E)`` for compiled and exported
    decoding; recurrent layers keep their states.

    `batch_size` (also called `max_batch_size`) may be left open: each layer then reserves its
    memory at its first update. `layer_device_map` says on which device the layers are that are not
    on `device`.
    """

    is_compileable = True

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
        length = max_cache_len or config.get_text_config().max_position_embeddings
        super().__init__([self._make_layer(window, length) for window in layer_windows(config)])
        self.max_cache_len, self.max_batch_size = length, max_batch_size or batch_size
        if self.max_batch_size is None:
            return
        places = layer_device_map or {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, StaticLayer):
                heads, width = key_value_shape(config)
                where = places.get(index, device)
                layer.allocate(self.max_batch_size, heads, width, width, where, dtype)

    def _make_layer(self, window: int | None, length: int) -> CacheLayer:
        """A layer of a model with such a window (`layer_windows`) for texts of `length`."""
        return StateLayer() if window == 0 else StaticLayer(length)

    @property
    def batch_size(self) -> int | None:
        """How many rows the memory is for."""
        return self.max_batch_size
