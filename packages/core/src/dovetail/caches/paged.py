"""The cache of many texts of different lengths: memory in pages, which texts take and give back.

Every layer has one pool (K, slots, E). A page is a run of `page_size` slots, and each text has a
table of its pages, the same in all layers (PagedAttention, arXiv 2309.06180). Heads come first so
that a text whose pages are neighbours is read in place; the pool hands out pages with that in mind.
On a CPU attention takes a third less time so than over a copy of the pages, and a padded copy of
all texts' pages takes many times as long.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import torch
from torch import Tensor

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.errors import GenerationError

ROOM = 1024
"""Positions that are left free behind a text, so that its pages stay neighbours."""


class PagePool:
    """Which of `pages` numbered pages are free; behind a text up to `room` are left for it to grow,
    as long as there are others."""

    def __init__(self, pages: int, room: int = 4) -> None:
        self.pages, self.room = pages, room
        self._free = set(range(pages))

    @property
    def free(self) -> int:
        """How many pages are free."""
        return len(self._free)

    def take(self, count: int, after: int | None = None) -> list[int]:
        """`count` pages, those following page `after` if they are free; raises `GenerationError`
        when there are not so many."""
        if count > self.free:
            raise GenerationError(
                f"the paged cache has {self.free} of {self.pages} pages free and {count} are "
                "wanted: raise num_blocks"
            )
        taken: list[int] = []
        page = -1 if after is None else after + 1
        while len(taken) < count:
            if page not in self._free:
                page = self._opening(count - len(taken))
            self._free.remove(page)
            taken.append(page)
            page += 1
        return taken

    def give(self, pages: Sequence[int]) -> None:
        """Take `pages` back."""
        self._free.update(pages)

    def _opening(self, count: int) -> int:
        """Where `count` pages begin: in the first free run with room for them and for those before
        and after them to grow, else in the longest.

        The first and not any, so that memory which was never touched stays so.
        """
        ordered = sorted(self._free)
        breaks = [0, *(i for i, (a, b) in enumerate(pairwise(ordered), 1) if b > a + 1)]
        runs = [(ordered[i], j - i) for i, j in pairwise([*breaks, len(ordered)])]
        roomy = (run for run in runs if run[1] >= count + 2 * self.room)
        start, size = next(roomy, None) or max(runs, key=lambda run: run[1])
        return start + min(self.room if start else 0, max(size - count, 0) // 2)


class Span:
    """The tokens of one text in a packed pass.

    They are the rows from `start` to `stop` of T, and the positions from `past` to `length` of
    their text, whose first positions are kept in `slots`. `masks` holds what was built for them in
    this pass, by window and device.
    """

    def __init__(self, start: int, past: int, length: int, slots: slice | Tensor) -> None:
        self.start, self.stop = start, start + length - past
        self.past, self.length, self.slots = past, length, slots
        self.masks: dict[tuple[int | None, torch.device], object] = {}

    def first_seen(self, window: int | None) -> int:
        """The first position that any of the tokens sees."""
        return 0 if window is None else max(self.past + 1 - window, 0)


class PagedLayer(CacheLayer):
    """The pools `keys` and `values` (K, slots, E) of one layer, reserved when first written."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def length(self) -> int:
        return 0  # a pool holds many texts: `PagedCache` knows their lengths

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        """Write key and value (1, K, T, E) into the slots `cache_position` (T,)."""
        if self.keys is None or self.values is None:
            self.keys, self.values = (
                new.new_empty(new.shape[1], self.slots, new.shape[3]) for new in (key, value)
            )
        slots = cache_position.to(key.device)  # type: ignore[union-attr] # PagedCache passes it
        self.keys.index_copy_(1, slots, key[0])
        self.values.index_copy_(1, slots, value[0])
        return key, value

    def read(self, slots: slice | Tensor) -> KeyValue:
        """Keys and values (1, K, S, E) in `slots`: views for a slice, else copies."""
        keys, values = self.keys, self.values
        if keys is None or values is None:
            raise GenerationError("a paged cache was read before anything was written to it")
        if isinstance(slots, slice):
            return keys[None, :, slots], values[None, :, slots]
        slots = slots.to(keys.device)
        return keys.index_select(1, slots)[None], values.index_select(1, slots)[None]

    def crop(self, length: int) -> NoReturn:
        raise GenerationError(
            "a paged cache holds many texts and cannot be cut at one length: free a text's pages"
        )


class PagedCache(Cache):
    """Keys and values of many texts in `pages` pages of `page_size` positions.

    `windows` says for each layer how many positions a token sees (None: all), as
    `dovetail.caches.layer_windows` does. Before each forward pass over packed tokens (1, T),
    `begin` says whose they are; layers attend by `dovetail.layers.packed.packed_attention`.
    """

    def __init__(self, windows: Sequence[int | None], pages: int, page_size: int) -> None:
        super().__init__([PagedLayer(pages * page_size) for _ in windows])
        self.windows, self.page_size = list(windows), page_size
        self.pool = PagePool(pages, -(-ROOM // page_size))
        self.tables: dict[Hashable, list[int]] = {}
        self.spans: list[Span] = []
        self._slots = torch.empty(0, dtype=torch.long)

    @property
    def capacity(self) -> int:
        """Positions of all pages."""
        return self.pool.pages * self.page_size

    def reserve(self, text: Hashable, length: int) -> bool:
        """See to it that `text` has pages for `length` positions; False, and nothing changed, when
        there are too few."""
        table = self.tables.get(text, [])
        missing = -(-length // self.page_size) - len(table)
        if missing > self.pool.free:
            return False
        if missing > 0:
            self.tables[text] = table + self.pool.take(missing, table[-1] if table else None)
        return True

    def free(self, text: Hashable) -> None:
        """Give the pages of `text`, if it has any, back."""
        self.pool.give(self.tables.pop(text, []))

    def copy(self, source: Hashable, target: Hashable, length: int) -> None:
        """Let the first `length` positions of the text `target` be those of `source`; both have
        pages for them."""
        for layer in self.layers:
            for states in (layer.keys, layer.values):
                if states is not None:
                    old, new = (
                        self._text_slots(text, length, states.device) for text in (source, target)
                    )
                    states[:, new] = states[:, old]

    def begin(self, batch: Sequence[tuple[Hashable, int, int]], device: torch.device) -> None:
        """Prepare a pass over packed tokens: of each text, in order, the positions from `past` to
        `length`, as ``(text, past, length)``. Their pages must be reserved."""
        self.spans, written, row = [], [], 0
        for text, past, length in batch:
            slots = self._text_slots(text, length, device)
            self.spans.append(Span(row, past, length, slots))
            written.append(
                torch.arange(slots.start + past, slots.stop, device=device)
                if isinstance(slots, slice)
                else slots[past:]
            )
            row += length - past
        self._slots = torch.cat(written)

    def _text_slots(self, text: Hashable, length: int, device: torch.device) -> slice | Tensor:
        """Slots of the first `length` positions: a slice when the pages are neighbours."""
        table, size = self.tables[text][: -(-length // self.page_size)], self.page_size
        if table[-1] - table[0] == len(table) - 1 and all(a < b for a, b in pairwise(table)):
            return slice(table[0] * size, table[0] * size + length)
        pages = torch.tensor(table, device=device)[:, None] * size
        return (pages + torch.arange(size, device=device)).flatten()[:length]

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        cache_kwargs: Mapping[str, Any] | None = None,
    ) -> KeyValue:
        """Write keys and values (1, K, T, E) of the packed tokens; returns them as they are."""
        return self.layers[layer_idx].update(key_states, value_states, self._slots)

    def read(self, layer_idx: int, span: Span, first: int) -> KeyValue:
        """Keys and values (1, K, S, E) of the text of `span` from position `first` on."""
        slots = span.slots
        if isinstance(slots, slice):
            slots = slice(slots.start + first, slots.stop)
        elif first:
            slots = slots[first:]
        return self.layers[layer_idx].read(slots)  # type: ignore[attr-defined] # all PagedLayers

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """The most positions that a text of this pass had before it."""
        return max((span.past for span in self.spans), default=0)

    def key_length(self, query_length: int, layer_idx: int = 0) -> int:
        """The most keys that a text of this pass has: what biases by position must cover."""
        return max((span.length for span in self.spans), default=query_length)
