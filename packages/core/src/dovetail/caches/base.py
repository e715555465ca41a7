"""The interface of caches: one object per generation, one small layer object per attention layer.

A layer cache answers four questions: what to attend to after adding new keys and values
(`update`), how many positions it has seen (`length`), how many keys a query block of a given size
will meet (`key_length`) and where in the text those are (`key_positions`), from which masks are
built. Shapes: keys and values are (B, K, S, E).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from dovetail.errors import GenerationError

KeyValue = tuple[Tensor, Tensor]


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

    def key_positions(self, cache_position: Tensor) -> Tensor | None:
        """Where in the text each key (S,) is that `update` will return for new positions (T,), a
        negative number for none; None when they are the last S positions, in their order."""
        return None

    def max_length(self) -> int | None:
        """The most positions that fit, None when unbounded."""
        return None

    def shape(self) -> tuple[int, int, int] | None:
        """Rows, heads and width of the keys; None when there are none yet, or never."""
        if self.keys is None:
            return None
        rows, heads, _, width = self.keys.shape
        return rows, heads, width

    @abstractmethod
    def crop(self, length: int) -> None:
        """Forget all positions from `length` on; a negative number drops that many from the
        end."""

    def kept(self, length: int) -> int:
        """How many positions `crop` to `length` is to leave."""
        return min(length, self.length()) if length >= 0 else max(self.length() + length, 0)

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replace keys and values by ``change`` of them (to another device, to other batch
        rows)."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = change(self.keys), change(self.values)

    def tensors(self) -> tuple[Tensor, ...]:
        """What is remembered, in the order of the text, as older code expects it: keys and
        values."""
        return self.keys, self.values  # type: ignore[return-value] # None before the first update

    def copied(self, change: Callable[[Tensor], Tensor]) -> Self:
        """A copy with ``change`` of all tensors, by `map`; `change` must return new ones where the
        two are to go separate ways."""
        twin = copy.copy(self)
        twin.map(change)
        return twin

    @property
    def nbytes(self) -> int:
        """Bytes of memory that are held."""
        return sum(tensor.nbytes for tensor in _visited(self))

    def reset(self) -> None:
        """Forget everything, keeping any reserved memory."""
        self.keys = self.values = None


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
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        cache_kwargs: Mapping[str, Any] | None = None,
    ) -> KeyValue:
        """Add new keys and values (B, K, T, E) to layer `layer_idx`; return all that are to be
        attended to.

        `cache_kwargs` may hold ``cache_position`` (T,), without which the new positions follow
        those seen, and what particular caches use.
        """
        position = None if cache_kwargs is None else cache_kwargs.get("cache_position")
        return self.layer(layer_idx).update(key_states, value_states, position)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions seen by layer `layer_idx`."""
        return self.layers[layer_idx].length() if layer_idx < len(self.layers) else 0

    @property
    def seen_tokens(self) -> int:
        """Positions of the text that were read, be they still held or not."""
        return self.get_seq_length()

    def key_length(self, query_length: int, layer_idx: int = 0) -> int:
        """Keys that a block of `query_length` new queries will meet in layer `layer_idx`."""
        return self.layer(layer_idx).key_length(query_length)

    def get_max_cache_shape(self) -> int | None:
        """The most positions that are held, None when unbounded."""
        return self.room()

    def room(self) -> int | None:
        """The most positions that a text may have, None when unbounded."""
        limits = [limit for layer in self.layers if (limit := layer.max_length()) is not None]
        return min(limits, default=None)

    def check_room(self, length: int) -> None:
        """Raise `GenerationError` when a text of `length` positions does not fit."""
        limit = self.room()
        if limit is not None and limit < length:
            raise GenerationError(
                f"the cache has room for {limit} positions and the text may need {length}: "
                "make it longer, or lower max_new_tokens"
            )

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

    def copied(self, change: Callable[[Tensor], Tensor]) -> Self:
        """A cache of the same kind with ``change`` of all tensors."""
        twin = copy.copy(self)
        twin.layers = [copy.copy(layer) for layer in self.layers]
        twin.map(change)
        return twin

    def batch_split(
        self, full_batch_size: int, split_size: int, num_hidden_layers: int | None = None
    ) -> list[Self]:
        """Caches of `split_size` rows each of the `full_batch_size` rows; the last may have
        fewer."""
        ends = range(split_size, full_batch_size + split_size, split_size)
        return [
            self.copied(lambda tensor, end=end: tensor[end - split_size : end].clone())  # type: ignore[misc]
            for end in ends
        ]

    @classmethod
    def from_batch_splits(
        cls, splits: Sequence[Self], num_hidden_layers: int | None = None
    ) -> Self:
        """One cache of the rows of all `splits`, which have read equally long texts."""
        lengths = sorted({split.seen_tokens for split in splits})
        if len(lengths) != 1:
            raise ValueError(
                f"splits: they hold {lengths} positions: join caches of equally long texts, one at "
                "least."
            )
        merged = (torch.cat(parts) for parts in zip(*map(_visited, splits), strict=True))
        return splits[0].copied(lambda _: next(merged))

    def crop(self, max_length: int) -> None:
        """Keep the first `max_length` positions; a negative number drops that many from the end."""
        for layer in self.layers:
            layer.crop(max_length)

    def reset(self) -> None:
        """Forget everything."""
        for layer in self.layers:
            layer.reset()

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all layers hold."""
        return sum(layer.nbytes for layer in self.layers)

    @property
    def key_cache(self) -> list[Tensor]:
        """The keys of each layer."""
        return [layer.keys for layer in self.layers if layer.keys is not None]

    @property
    def value_cache(self) -> list[Tensor]:
        """The values of each layer."""
        return [layer.values for layer in self.layers if layer.values is not None]

    def __getitem__(self, layer_idx: int) -> KeyValue:
        return self.layers[layer_idx].tensors()  # type: ignore[return-value] # states: as many

    def __iter__(self) -> Iterator[KeyValue]:
        return (self[index] for index in range(len(self)))

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        name, layers = type(self).__name__, len(self)
        return f"{name}({layers} layers, {self.seen_tokens} positions, {self.nbytes:,} bytes)"

    def __bool__(self) -> bool:
        return True  # an empty cache is still a cache

    def to_legacy_cache(self) -> tuple[Any, ...]:
        """The tuple of (key, value) pairs that older code expects."""
        return tuple(self)

    @classmethod
    def from_legacy_cache(
        cls, past_key_values: Sequence[Sequence[Tensor]] | None = None, *args: Any, **kwargs: Any
    ) -> Self:
        """A cache, made with `args` and `kwargs`, that holds a tuple of (key, value) pairs."""
        cache = cls(*args, **kwargs)
        for index, layer in enumerate(past_key_values or ()):
            if len(layer) == 2 and layer[0] is None:
                continue  # a layer that had nothing to remember
            if len(layer) != 2 or not all(isinstance(tensor, Tensor) for tensor in layer):
                raise GenerationError(
                    f"past_key_values: layer {index} is no pair of key and value (B, K, S, E): "
                    "give a cache, or a pair of tensors for each layer"
                )
            cache.update(layer[0], layer[1], index)
        return cache


def _visited(cache: Cache | CacheLayer) -> list[Tensor]:
    """All tensors that `map` changes, in its order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    cache.copied(note)
    return found
