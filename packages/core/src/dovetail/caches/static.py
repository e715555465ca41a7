"""The cache of fixed size, for compiled and exported decoding."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.caches.kinds import recurrent_layers
from dovetail.caches.states import StateLayer


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
        self.keys = torch.zeros(
            batch, heads, self.max_cache_len, key_width, device=device, dtype=dtype
        )
        self.values = torch.zeros(
            batch, heads, self.max_cache_len, value_width, device=device, dtype=dtype
        )
        self.seen = torch.zeros((), dtype=torch.long, device=device)

    def length(self) -> int:
        return 0 if self.seen is None else int(self.seen)

    def key_length(self, query_length: int) -> int:
        return self.max_cache_len

    def max_length(self) -> int | None:
        return self.max_cache_len

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        if self.keys is None:
            batch, heads, _, width = key.shape
            self.allocate(batch, heads, width, value.shape[-1], key.device, key.dtype)
        keys, values, seen = cast(
            "tuple[Tensor, Tensor, Tensor]", (self.keys, self.values, self.seen)
        )
        if cache_position is None:
            cache_position = torch.arange(key.shape[2], device=key.device) + seen
        keys.index_copy_(2, cache_position, key.to(keys.dtype))
        values.index_copy_(2, cache_position, value.to(values.dtype))
        seen.copy_(cache_position[-1] + 1)
        return keys, values

    def crop(self, length: int) -> None:
        if self.seen is not None:
            length = length if length >= 0 else max(self.length() + length, 0)
            self.seen.clamp_(max=length)

    def reset(self) -> None:
        for tensor in (self.keys, self.values, self.seen):
            if tensor is not None:
                tensor.zero_()


class StaticCache(Cache):
    """A cache of fixed size ``(max_batch_size, K, max_cache_len, E)`` for compiled and exported
    decoding; recurrent layers keep their states."""

    is_compileable = True

    def __init__(
        self,
        config: Any,
        max_batch_size: int | None = None,
        max_cache_len: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        batch_size: int | None = None,
    ) -> None:
        text = config.get_text_config()
        length = max_cache_len or text.max_position_embeddings
        layers = getattr(text, "num_decoder_layers", None) or text.num_hidden_layers
        recurrent = recurrent_layers(text)
        super().__init__(
            [StateLayer() if index in recurrent else StaticLayer(length) for index in range(layers)]
        )
        self.max_cache_len, self.max_batch_size = length, max_batch_size or batch_size
        if self.max_batch_size is not None and len(recurrent) < layers:
            heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
            width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
            for layer in self.layers:
                if isinstance(layer, StaticLayer):
                    layer.allocate(self.max_batch_size, heads, width, width, device, dtype)
