"""The cache of attention sinks: the first positions and a window of the last (arXiv 2309.17453)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dovetail.caches.base import Cache, CacheLayer, KeyValue


@dataclass(frozen=True)
class Rotation:
    """Turns keys back by some positions, as learned from the rotary tables of the first ones.

    `tables` are cosines and sines (1 or B, n, width) of the first n positions read.
    """

    tables: KeyValue | None = None

    def learned(self, cos: Tensor, sin: Tensor, window: int) -> Rotation:
        """With the tables (1 or B, T, width) of new positions too, until a window is full."""
        new = cos.float(), sin.float()
        if self.tables is None:
            return Rotation(new)
        if self.tables[0].shape[1] >= window:
            return self
        rows = max(len(cos), len(self.tables[0]))
        cos, sin = (
            torch.cat([table.expand(rows, -1, -1) for table in pair], 1)
            for pair in zip(self.tables, new, strict=True)
        )
        return Rotation((cos, sin))

    def changed(self, change: Callable[[Tensor], Tensor]) -> Rotation:
        """For other rows of the batch, or another device."""
        if self.tables is None or len(self.tables[0]) == 1:
            return self
        return Rotation((change(self.tables[0]), change(self.tables[1])))

    def back(self, keys: Tensor, positions: int) -> Tensor:
        """`keys` (B, K, S, E) turned back by a number of `positions`; channels beyond the width of
        the tables stay as they are."""
        if self.tables is None or not keys.shape[2]:
            return keys
        cos, sin = self._angle(positions)
        width = self.tables[0].shape[-1]
        turned, rest = keys[..., :width].float(), keys[..., width:]
        pairs = (width // 2, 2) if self._interleaved() else (2, width // 2)
        along = -1 if self._interleaved() else -2
        first, second = turned.unflatten(-1, pairs).unbind(along)
        both = (first * cos + second * sin, second * cos - first * sin)
        turned = torch.stack(both, along).flatten(-2).to(keys.dtype)
        return torch.cat((turned, rest), -1) if rest.shape[-1] else turned

    def _angle(self, positions: int) -> KeyValue:
        """Cosine and sine (B, 1, 1, width / 2) of what `positions` turn a pair of channels by.

        A difference of two positions that were read; their product is normalised, since scaled
        rotary tables are longer than 1.
        """
        cos, sin = (self._per_pair(table) for table in self.tables or ())
        last, earlier = -1, -1 - positions
        c1, s1, c0, s0 = cos[:, last], sin[:, last], cos[:, earlier], sin[:, earlier]
        length = c1 * c1 + s1 * s1
        turn = (c1 * c0 + s1 * s0) / length, (s1 * c0 - c1 * s0) / length
        return turn[0][:, None, None], turn[1][:, None, None]

    def _interleaved(self) -> bool:
        """Whether pairs are neighbours: cosines of a pair are equal, so the tables show it."""
        cos = self.tables[0]  # type: ignore[index]
        return not torch.equal(*cos.chunk(2, -1))

    def _per_pair(self, table: Tensor) -> Tensor:
        """One column for each pair: that of its second channel, whose sine has a plain sign."""
        return table[..., 1::2] if self._interleaved() else table.chunk(2, -1)[1]


class SinkLayer(CacheLayer):
    """Keeps the first `sinks` positions and so many last ones that all fit in `window`.

    When something is dropped, what is kept of the window is turned back, to the positions that it
    has within the cache. As in the field's, keys of the window count as moved whenever it is full.
    """

    def __init__(self, window: int, sinks: int) -> None:
        self.window, self.sinks = window, sinks
        self.rotation = Rotation()
        self.seen = 0

    def length(self) -> int:
        return self.seen

    @property
    def held(self) -> int:
        """Number of positions that are kept."""
        return 0 if self.keys is None else self.keys.shape[2]

    def _dropping(self, count: int) -> bool:
        """Whether `count` new positions make a full window."""
        return self.held > 0 and self.held + count >= self.window

    def _recent(self, count: int) -> int:
        """How many kept positions after the sinks stay beside `count` new ones."""
        after = max(self.held - self.sinks, 0)
        if not self._dropping(count):
            return after
        return min(after, max(self.window - self.sinks - count, 0))

    def key_length(self, query_length: int) -> int:
        return min(self.held, self.sinks) + self._recent(query_length) + query_length

    def key_positions(self, cache_position: Tensor) -> Tensor | None:
        recent = self._recent(cache_position.shape[0])
        device = cache_position.device
        before = torch.arange(-recent, 0, device=device) + cache_position[0]
        first = torch.arange(min(self.held, self.sinks), device=device)
        return torch.cat((first, before, cache_position))

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        count, old = key.shape[2], (self.keys, self.values)
        recent = self._recent(count)
        if old[0] is not None and old[1] is not None:
            start = self.held - recent
            kept = old[0][:, :, start:]
            if self._dropping(count):
                kept = self.rotation.back(kept, count)
            key = torch.cat((old[0][:, :, : self.sinks], kept, key), 2)
            value = torch.cat((old[1][:, :, : self.sinks], old[1][:, :, start:], value), 2)
        self.keys, self.values = key, value
        self.seen += count
        return key, value

    def crop(self, length: int) -> None:
        kept = self.kept(length)
        if kept < self.seen and kept and self.seen > self.held:
            raise ValueError(
                f"A cache of attention sinks that holds {self.held} of {self.seen} positions "
                f"cannot go back to {kept}: use a DynamicCache, which forgets nothing."
            )
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys[:, :, :kept], self.values[:, :, :kept]
        self.seen = kept

    def reset(self) -> None:
        self.seen = 0
        super().reset()


class SinkCache(Cache):
    """A cache of at most `window_length` positions for texts without end: the first
    `num_sink_tokens`, to which models pay much attention, and the last ones.

    A prompt is kept whole until the next token, be it longer or not. Positions are those of the
    field: the keys of the window are turned back as older ones are dropped, and new keys come
    with the positions that the caller gave them.
    """

    def __init__(self, window_length: int, num_sink_tokens: int) -> None:
        if not 0 <= num_sink_tokens < window_length:
            raise ValueError(
                f"SinkCache: num_sink_tokens={num_sink_tokens} and window_length={window_length}: "
                "the window must be longer than the sinks, which are not negative."
            )
        self.window_length, self.num_sink_tokens = window_length, num_sink_tokens
        self._rotation = Rotation()
        super().__init__(new_layer=partial(SinkLayer, window_length, num_sink_tokens))

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        cache_kwargs: Mapping[str, Any] | None = None,
    ) -> KeyValue:
        """As of every cache; rotary models pass the ``cos`` and ``sin`` that turned the keys."""
        given = cache_kwargs or {}
        cos, sin = given.get("cos"), given.get("sin")
        if layer_idx == 0 and cos is not None and sin is not None:
            self._rotation = self._rotation.learned(cos, sin, self.window_length)
        layer = self.layer(layer_idx)
        if isinstance(layer, SinkLayer):
            layer.rotation = self._rotation
        return super().update(key_states, value_states, layer_idx, cache_kwargs)

    def map(self, change: Callable[[Tensor], Tensor]) -> Cache:
        """Apply `change` to every key and value tensor, and to the angles of their rows."""
        self._rotation = self._rotation.changed(change)
        return super().map(change)

    def reset(self) -> None:
        self._rotation = Rotation()
        super().reset()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions that are kept."""
        if layer_idx >= len(self.layers):
            return 0
        layer = self.layers[layer_idx]
        return layer.held if isinstance(layer, SinkLayer) else layer.length()

    @property
    def seen_tokens(self) -> int:
        return self.layers[0].length() if self.layers else 0

    def get_max_cache_shape(self) -> int | None:
        """The length of the window, which does not bound the text."""
        return self.window_length
