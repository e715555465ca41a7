"""Caches in the memory of another device, from which each layer's part is fetched when needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.caches.dynamic import DynamicCache, DynamicLayer
from dovetail.caches.static import StaticCache, StaticLayer

CPU = torch.device("cpu")


class OffloadedLayer(CacheLayer):
    """A layer `home` on the offload device, of which a copy is fetched for each update.

    New positions are added to both, so that nothing has to be copied back.
    """

    def __init__(self, home: CacheLayer, device: torch.device | str = CPU) -> None:
        self.home, self.device = home, torch.device(device)
        self._fetched: tuple[CacheLayer, Any] | None = None

    def fetch(self, device: torch.device) -> None:
        """Begin to copy what is kept to `device`; for a CUDA device, beside its other work."""
        if device == self.device or self._fetched is not None or not self.home.length():
            return
        stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        with torch.cuda.stream(stream) if stream is not None else nullcontext():
            near = self.home.copied(lambda kept: kept.to(device, non_blocking=True, copy=True))
        self._fetched = near, stream

    def _take(self) -> CacheLayer | None:
        """What was fetched, ready for use; None when nothing was kept yet."""
        near, stream = self._fetched or (None, None)
        self._fetched = None
        if near is not None and stream is not None:
            current = torch.cuda.current_stream(stream.device)
            current.wait_stream(stream)
            near.map(partial(_used_by, current))
        return near

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        if key.device == self.device:
            return self.home.update(key, value, cache_position)
        self.fetch(key.device)
        near = self._take()
        position = None if cache_position is None else cache_position.to(self.device)
        keys, values = self.home.update(key.to(self.device), value.to(self.device), position)
        if near is None:
            return keys.to(key.device), values.to(key.device)
        return near.update(key, value, cache_position)

    def length(self) -> int:
        return self.home.length()

    def key_length(self, query_length: int) -> int:
        return self.home.key_length(query_length)

    def key_positions(self, cache_position: Tensor) -> Tensor | None:
        return self.home.key_positions(cache_position)

    def max_length(self) -> int | None:
        return self.home.max_length()

    def shape(self) -> tuple[int, int, int] | None:
        return self.home.shape()

    def crop(self, length: int) -> None:
        self._fetched = None
        self.home.crop(length)

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        self._fetched = None
        self.home = self.home.copied(change)

    def reset(self) -> None:
        self._fetched = None
        self.home.reset()

    def tensors(self) -> tuple[Tensor, ...]:
        return self.home.tensors()

    @property
    def nbytes(self) -> int:
        return self.home.nbytes


def _used_by(stream: Any, tensor: Tensor) -> Tensor:
    """`tensor`, whose memory must not be given away before `stream` is done with it."""
    tensor.record_stream(stream)
    return tensor


class Offloading(Cache):
    """While one layer works, what the next one keeps is fetched."""

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        cache_kwargs: Mapping[str, Any] | None = None,
    ) -> KeyValue:
        """As of every cache; returns tensors on the device of `key_states`."""
        layers = self.layers
        if layer_idx < len(layers) > 1:
            self.prefetch_layer((layer_idx + 1) % len(layers), key_states.device)
        return super().update(key_states, value_states, layer_idx, cache_kwargs)

    def prefetch_layer(self, layer_idx: int, device: torch.device) -> None:
        """Begin to copy what layer `layer_idx` keeps to `device`."""
        layer = self.layers[layer_idx]
        if isinstance(layer, OffloadedLayer):
            layer.fetch(device)

    @property
    def key_cache(self) -> list[Tensor]:
        return [layer.tensors()[0] for layer in self.layers if layer.length()]

    @property
    def value_cache(self) -> list[Tensor]:
        return [layer.tensors()[1] for layer in self.layers if layer.length()]


def _offloaded(device: torch.device | str) -> OffloadedLayer:
    return OffloadedLayer(DynamicLayer(), device)


class OffloadedCache(Offloading, DynamicCache):
    """A cache which grows with the text in the memory of `offload_device`: of an accelerator's own
    memory it takes that of two layers."""

    def __init__(self, offload_device: torch.device | str = CPU) -> None:
        super().__init__()
        self._new_layer = partial(_offloaded, offload_device)


class OffloadedStaticCache(Offloading, StaticCache):
    """A cache of fixed size in the memory of `offload_device`."""

    is_compileable = False

    def __init__(
        self,
        config: Any,
        max_batch_size: int,
        max_cache_len: int | None,
        device: torch.device | str,
        dtype: torch.dtype | None = None,
        offload_device: torch.device | str = CPU,
    ) -> None:
        super().__init__(
            config, max_batch_size, max_cache_len, offload_device, dtype or torch.float32
        )
        if torch.device(device).type == "cuda" and torch.device(offload_device) == CPU:
            self.map(Tensor.pin_memory)
        self.layers = [
            OffloadedLayer(layer, offload_device) if isinstance(layer, StaticLayer) else layer
            for layer in self.layers
        ]
