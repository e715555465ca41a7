"""The cache of quantized keys and values: a third to a tenth of the memory, for small errors (KIVI,
arXiv 2402.02750)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor

from dovetail.caches.base import CacheLayer, KeyValue
from dovetail.caches.configs import QuantizedCacheConfig
from dovetail.caches.dynamic import DynamicCache, DynamicLayer
from dovetail.caches.quantization import BYTE, Grouping, Quantized
from dovetail.errors import GenerationError


class QuantizedLayer(CacheLayer):
    """Old positions as numbers of few bits, recent ones as they are.

    Whatever was quantized once stays as it is, so errors do not add up. New positions are attended
    to unchanged, in the pass that brings them too.
    """

    def __init__(self, config: QuantizedCacheConfig) -> None:
        self.config = config
        self.recent = DynamicLayer()
        self.old: tuple[Quantized, Quantized] | None = None
        self.heads = 0

    def length(self) -> int:
        return self._quantized() + self.recent.length()

    def _quantized(self) -> int:
        """How many positions are quantized."""
        return 0 if self.old is None else self.old[0].length

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        if not self.heads:
            check_width(self.config, key.shape[1], key.shape[3])
            self.heads = key.shape[1]
        self.recent.update(key, value)
        keys, values = self._restored()
        self._quantize_surplus()
        return keys, values

    def _restored(self) -> KeyValue:
        """All keys and values, the old ones close to what they were."""
        recent = cast("KeyValue", (self.recent.keys, self.recent.values))
        if self.old is None:
            return recent
        old = (self._heads(part.restore(recent[0].dtype)) for part in self.old)
        keys, values = (torch.cat(pair, 2) for pair in zip(old, recent, strict=True))
        return keys, values

    def _heads(self, states: Tensor) -> Tensor:
        """States (B, S, K * E) by heads: (B, K, S, E)."""
        return states.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _quantize_surplus(self) -> None:
        """Quantize what is beyond the window of recent positions, in whole groups."""
        size = cast("int", self.config.q_group_size)
        surplus = self.recent.length() - cast("int", self.config.residual_length)
        count = surplus // size * size
        if count <= 0:
            return
        recent = cast("KeyValue", (self.recent.keys, self.recent.values))
        axes = self.config.axis_key, self.config.axis_value
        new = tuple(
            self._quantize(states[:, :, :count], self.config.by_position(axis))
            for states, axis in zip(recent, axes, strict=True)
        )
        if self.old is not None:
            new = tuple(old.extended(more) for old, more in zip(self.old, new, strict=True))
        self.old = cast("tuple[Quantized, Quantized]", new)
        self._set_recent(*(states[:, :, count:].clone() for states in recent))

    def _quantize(self, states: Tensor, by_position: bool) -> Quantized:
        config = self.config
        grouping = Grouping(
            cast("int", config.nbits), cast("int", config.q_group_size), by_position
        )
        dtype = torch.promote_types(cast("torch.dtype", config.compute_dtype), states.dtype)
        return Quantized.of(states.transpose(1, 2).flatten(2), grouping, dtype)

    def _set_recent(self, keys: Tensor, values: Tensor) -> None:
        self.recent = DynamicLayer()
        self.recent.update(keys, values)

    def shape(self) -> tuple[int, int, int] | None:
        return self.recent.shape()

    def crop(self, length: int) -> None:
        kept, old = self.kept(length), self._quantized()
        if self.old is None or kept >= old:
            self.recent.crop(max(kept - old, 0))
            return
        size = cast("int", self.config.q_group_size)
        whole = kept // size * size  # a group that is cut goes back to the recent positions
        recent = cast("Tensor", self.recent.keys)
        rest = (
            self._heads(part.restore(recent.dtype))[:, :, whole:kept].clone() for part in self.old
        )
        self._set_recent(*rest)
        keys, values = (part.first(whole) for part in self.old)
        self.old = (keys, values) if whole else None

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        self.recent = self.recent.copied(change)
        if self.old is not None:
            keys, values = (part.changed(change) for part in self.old)
            self.old = keys, values

    def reset(self) -> None:
        self.recent, self.old = DynamicLayer(), None

    def tensors(self) -> tuple[Tensor, ...]:
        return self._restored()

    @property
    def nbytes(self) -> int:
        parts = self.old or ()
        codes = sum(x.nbytes for part in parts for x in (part.codes, part.least, part.step))
        return codes + self.recent.nbytes


def check_width(config: QuantizedCacheConfig, heads: int, width: int) -> None:
    """Raise `GenerationError` when keys of `heads` heads of `width` channels make no whole groups
    or bytes."""
    size, nbits = cast("int", config.q_group_size), cast("int", config.nbits)
    channels = heads * width
    grouped = not (config.by_position(config.axis_key) and config.by_position(config.axis_value))
    if grouped and channels % size:
        divisors = [str(count) for count in range(1, channels + 1) if channels % count == 0]
        raise GenerationError(
            f"cache_config: q_group_size={size} does not divide the {channels} channels of a "
            f"position ({heads} heads of {width}): give one of {', '.join(divisors[-4:])}, or "
            "group positions (axis_key, axis_value)"
        )
    if channels * nbits % BYTE:
        raise GenerationError(
            f"cache_config: nbits={nbits}: the {channels} channels of a position ({heads} heads "
            f"of {width}) do not fill bytes: give nbits=8"
        )


class QuantizedCache(DynamicCache):
    """A cache which grows with the text and keeps all but the last positions in few bits."""

    backend: ClassVar[str | None] = None

    def __init__(self, cache_config: QuantizedCacheConfig) -> None:
        super().__init__()
        if self.backend is not None and cache_config.backend != self.backend:
            cache_config = replace(cache_config, backend=self.backend)
        cache_config.check_backend()
        self.cache_config = cache_config
        self._new_layer = partial(QuantizedLayer, cache_config)

    @property
    def key_cache(self) -> list[Tensor]:
        return [layer.tensors()[0] for layer in self.layers if layer.length()]

    @property
    def value_cache(self) -> list[Tensor]:
        return [layer.tensors()[1] for layer in self.layers if layer.length()]


class QuantoQuantizedCache(QuantizedCache):
    """Quantized as the library quanto names it: axis 0 groups channels, axis -1 positions."""

    backend = "quanto"


class HQQQuantizedCache(QuantizedCache):
    """Quantized as the library HQQ names it: axis 1 groups channels, axis 0 positions."""

    backend = "HQQ"
