"""The cache of an encoder-decoder: the decoder's own keys and the encoder's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.caches.dynamic import DynamicCache


class EncoderDecoderCache(Cache):
    """Two caches side by side: the decoder's own keys, and the encoder's keys, which are computed
    once."""

    def __init__(
        self, self_attention_cache: Cache | None = None, cross_attention_cache: Cache | None = None
    ) -> None:
        super().__init__()
        self.self_attention_cache = (
            DynamicCache() if self_attention_cache is None else self_attention_cache
        )
        self.cross_attention_cache = (
            DynamicCache() if cross_attention_cache is None else cross_attention_cache
        )
        self.is_compileable = self.self_attention_cache.is_compileable

    @property
    def is_updated(self) -> dict[int, bool]:
        """For each layer, whether the encoder's keys are already there."""
        cross = self.cross_attention_cache
        return {
            index: cross.get_seq_length(index) > 0
            for index in range(len(self.self_attention_cache))
        }

    def layer(self, layer_idx: int) -> CacheLayer:
        return self.self_attention_cache.layer(layer_idx)

    def cross(self, layer_idx: int, make: Callable[[], KeyValue]) -> KeyValue:
        """The encoder's keys and values for layer `layer_idx`; `make` computes them at the first
        use."""
        if self.cross_attention_cache.get_seq_length(layer_idx) == 0:
            return self.cross_attention_cache.update(*make(), layer_idx)
        return self.cross_attention_cache[layer_idx]

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        cache_kwargs: Mapping[str, Any] | None = None,
    ) -> KeyValue:
        """Add the decoder's own keys and values."""
        return self.self_attention_cache.update(key_states, value_states, layer_idx, cache_kwargs)

    @property
    def seen_tokens(self) -> int:
        return self.self_attention_cache.seen_tokens

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.self_attention_cache.get_seq_length(layer_idx)

    def get_max_cache_shape(self) -> int | None:
        return self.self_attention_cache.get_max_cache_shape()

    def room(self) -> int | None:
        return self.self_attention_cache.room()

    def map(self, change: Callable[[Tensor], Tensor]) -> Cache:
        self.self_attention_cache.map(change)
        self.cross_attention_cache.map(change)
        return self

    def crop(self, max_length: int) -> None:
        self.self_attention_cache.crop(max_length)

    def reset(self) -> None:
        self.self_attention_cache.reset()
        self.cross_attention_cache.reset()

    def copied(self, change: Callable[[Tensor], Tensor]) -> EncoderDecoderCache:
        return EncoderDecoderCache(
            self.self_attention_cache.copied(change), self.cross_attention_cache.copied(change)
        )

    @property
    def nbytes(self) -> int:
        return self.self_attention_cache.nbytes + self.cross_attention_cache.nbytes

    def __getitem__(self, layer_idx: int) -> tuple[Tensor, ...]:  # type: ignore[override]
        own = self.self_attention_cache[layer_idx]
        return (
            own + self.cross_attention_cache[layer_idx] if self.is_updated.get(layer_idx) else own
        )

    def __len__(self) -> int:
        return len(self.self_attention_cache)

    @classmethod
    def from_legacy_cache(
        cls, past_key_values: Sequence[Sequence[Tensor]] | None = None
    ) -> EncoderDecoderCache:
        """Wrap tuples of (key, value, encoder key, encoder value)."""
        past = past_key_values or ()
        cross = tuple(layer[2:4] for layer in past if len(layer) > 2)
        return cls(
            DynamicCache.from_legacy_cache(tuple(layer[:2] for layer in past)),
            DynamicCache.from_legacy_cache(cross),
        )
