"""Key-value caches: one object per generation, one small layer object per attention layer.

A layer cache answers three questions: what to attend to after adding new keys and values
(`update`), how many positions it has seen (`length`) and how many keys a query block of a given
size will meet (`key_length`), from which masks are built. Shapes: keys and values are (B, K, S, E).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor

KeyValue = tuple[Tensor, Tensor]
GROWTH = 128  # spare positions that a growing buffer reserves


class CacheLayer(ABC):
    """The interface of one layer's cache; `keys` and `values` are None until the first update."""

    keys: Tensor | None = None
    values: Tensor | None = None

    @abstractmethod
    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        """Add T new positions; return all keys and values to attend to."""

    @abstractmethod
    def length(self) -> int:
        """Number of positions seen."""

    def key_length(self, query_length: int) -> int:
        """Number of keys that `update` will return for `query_length` new positions."""
        return self.length() + query_length

    def max_length(self) -> int | None:
        """The most positions that fit, None when unbounded."""
        return None

    @abstractmethod
    def crop(self, length: int) -> None:
        """Forget all positions from `length` on."""

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replace keys and values by ``change`` of them (to another device, to other batch
        rows)."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = change(self.keys), change(self.values)

    def reset(self) -> None:
        """Forget everything, keeping any reserved memory."""
        self.keys = self.values = None


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
            keys, values = self._reserve(self.keys, self.values, key.shape[2])
            start, end = self.keys.shape[2], self.keys.shape[2] + key.shape[2]
            keys[:, :, start:end] = key
            values[:, :, start:end] = value
            self.keys, self.values = keys[:, :, :end], values[:, :, :end]
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
            length = length if length >= 0 else max(self.length() + length, 0)
            self.keys, self.values = self.keys[:, :, :length], self.values[:, :, :length]

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        self._buffers = None
        super().map(change)

    def reset(self) -> None:
        self._buffers = None
        super().reset()


def _extended(old: Tensor, size: int) -> Tensor:
    batch, heads, length, width = old.shape
    buffer = old.new_empty(batch, heads, size, width)
    buffer[:, :, :length] = old
    return buffer


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


class Cache:
    """A list of layer caches behind the field's interface.

    `new_layer` makes layers as they are first used.
    """

    is_compileable = False

    def __init__(
        self,
        layers: list[CacheLayer] | None = None,
        new_layer: Callable[[], CacheLayer] | None = None,
    ) -> None:
        self.layers = list(layers or ())
        self._new_layer = new_layer

    def layer(self, layer_idx: int) -> CacheLayer:
        """The cache of layer `layer_idx`, made now when it is new."""
        while len(self.layers) <= layer_idx and self._new_layer is not None:
            self.layers.append(self._new_layer())
        return self.layers[layer_idx]

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, cache_position: Tensor | None = None
    ) -> KeyValue:
        """Add new keys and values (B, K, T, E) to layer `layer_idx`; return all that are to be
        attended to."""
        return self.layer(layer_idx).update(key, value, cache_position)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions seen by layer `layer_idx`."""
        return self.layers[layer_idx].length() if layer_idx < len(self.layers) else 0

    def key_length(self, query_length: int, layer_idx: int = 0) -> int:
        """Keys that a block of `query_length` new queries will meet in layer `layer_idx`."""
        return self.layer(layer_idx).key_length(query_length)

    def get_max_cache_shape(self) -> int | None:
        """The most positions that fit, None when unbounded."""
        limits = [limit for layer in self.layers if (limit := layer.max_length()) is not None]
        return min(limits, default=None)

    get_max_length = get_max_cache_shape

    def get_usable_length(self, new_seq_length: int, layer_idx: int = 0) -> int:
        """Positions of the past that remain usable when `new_seq_length` more are added."""
        limit, seen = self.get_max_cache_shape(), self.get_seq_length(layer_idx)
        return seen if limit is None or seen + new_seq_length <= limit else limit - new_seq_length

    def map(self, change: Callable[[Tensor], Tensor]) -> Cache:
        """Apply `change` to every key and value tensor."""
        for layer in self.layers:
            layer.map(change)
        return self

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Reorder the batch: row ``i`` becomes the old row ``beam_idx[i]``."""
        self.map(lambda tensor: tensor.index_select(0, beam_idx.to(tensor.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row of the batch."""
        self.map(lambda tensor: tensor.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the chosen rows of the batch only."""
        self.map(lambda tensor: tensor[indices])

    def crop(self, max_length: int) -> None:
        """Keep the first `max_length` positions; a negative number drops that many from the end."""
        for layer in self.layers:
            layer.crop(max_length)

    def reset(self) -> None:
        """Forget everything."""
        for layer in self.layers:
            layer.reset()

    @property
    def key_cache(self) -> list[Tensor]:
        """The keys of each layer."""
        return [layer.keys for layer in self.layers if layer.keys is not None]

    @property
    def value_cache(self) -> list[Tensor]:
        """The values of each layer."""
        return [layer.values for layer in self.layers if layer.values is not None]

    def __getitem__(self, layer_idx: int) -> KeyValue:
        layer = self.layers[layer_idx]
        return layer.keys, layer.values  # type: ignore[return-value]

    def __iter__(self) -> Iterator[KeyValue]:
        return (self[index] for index in range(len(self)))

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True  # an empty cache is still a cache

    def to_legacy_cache(self) -> tuple[Any, ...]:
        """The tuple of (key, value) pairs that older code expects."""
        return tuple(self)


class DynamicCache(Cache):
    """A cache which grows with the text: the default."""

    def __init__(self, num_hidden_layers: int | None = None) -> None:
        super().__init__([DynamicLayer() for _ in range(num_hidden_layers or 0)], DynamicLayer)

    @classmethod
    def from_legacy_cache(cls, past_key_values: tuple[KeyValue, ...] | None = None) -> DynamicCache:
        """Wrap a tuple of (key, value) pairs."""
        cache = cls()
        for index, (key, value) in enumerate(past_key_values or ()):
            cache.update(key, value, index)
        return cache


class StaticCache(Cache):
    """A cache of fixed size ``(max_batch_size, K, max_cache_len, E)`` for compiled and exported
    decoding."""

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
        super().__init__([StaticLayer(length) for _ in range(layers)])
        self.max_cache_len, self.max_batch_size = length, max_batch_size or batch_size
        if self.max_batch_size is not None:
            heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
            width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
            for layer in self.layers:
                layer.allocate(self.max_batch_size, heads, width, width, device, dtype)  # type: ignore[attr-defined]


def layer_windows(config: Any) -> list[int | None]:
    """How many positions, itself included, a token sees in each layer; None is all before it.

    Architectures with windows declare them as ``config.layer_windows``.
    """
    text = config.get_text_config()
    windows = getattr(text, "layer_windows", None)
    return [None] * text.num_hidden_layers if windows is None else windows


class HybridCache(Cache):
    """Layers with a window keep that window, the others have a fixed size as in `StaticCache`."""

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
        super().__init__(
            [
                StaticLayer(length) if window is None else SlidingWindowLayer(window)
                for window in layer_windows(config)
            ]
        )
        self.max_cache_len, self.max_batch_size = length, max_batch_size or batch_size


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

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.self_attention_cache.get_seq_length(layer_idx)

    def get_max_cache_shape(self) -> int | None:
        return self.self_attention_cache.get_max_cache_shape()

    def map(self, change: Callable[[Tensor], Tensor]) -> Cache:
        self.self_attention_cache.map(change)
        self.cross_attention_cache.map(change)
        return self

    def crop(self, max_length: int) -> None:
        self.self_attention_cache.crop(max_length)

    def reset(self) -> None:
        self.self_attention_cache.reset()
        self.cross_attention_cache.reset()

    def __getitem__(self, layer_idx: int) -> tuple[Tensor, ...]:  # type: ignore[override]
        own = self.self_attention_cache[layer_idx]
        return (
            own + self.cross_attention_cache[layer_idx] if self.is_updated.get(layer_idx) else own
        )

    def __len__(self) -> int:
        return len(self.self_attention_cache)

    @classmethod
    def from_legacy_cache(
        cls, past_key_values: tuple[tuple[Tensor, ...], ...] | None = None
    ) -> EncoderDecoderCache:
        """Wrap tuples of (key, value, encoder key, encoder value)."""
        past = past_key_values or ()
        cross = tuple(layer[2:4] for layer in past if len(layer) > 2)
        return cls(
            DynamicCache.from_legacy_cache(tuple(layer[:2] for layer in past)),  # type: ignore[misc]
            DynamicCache.from_legacy_cache(cross),  # type: ignore[arg-type]
        )
