"""Attention masks, described once per forward pass and built only in the form that the chosen
kernel needs.

`causal_mask` and `bidirectional_mask` return a `Mask`, or None when every query may see every key.
A kernel asks it for what it understands: a flag (`is_plain_causal`), an additive tensor
(`additive`) or a predicate for FlexAttention (`predicate`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dovetail.caches import Cache


class Mask:
    """Which of S keys each of T queries may see.

    `causal` with `positions` (T,): query ``t`` sees keys up to ``positions[t]``; `key_positions`
    (S,): key ``s`` is at that position and not at ``s``, nowhere if negative; `window`: and no
    further back than that many; `padding` (B, S): only keys that are True; `segments` (B, T): only
    keys of the same packed sequence; `custom` (B, 1 or H, T, S): an additive mask that replaces all
    of it.
    """

    def __init__(
        self,
        query_length: int,
        key_length: int,
        *,
        causal: bool = False,
        positions: Tensor | None = None,
        key_positions: Tensor | None = None,
        window: int | None = None,
        padding: Tensor | None = None,
        segments: Tensor | None = None,
        custom: Tensor | None = None,
    ) -> None:
        self.query_length, self.key_length = query_length, key_length
        self.causal, self.positions, self.window = causal, positions, window
        self.key_positions = key_positions
        self.padding, self.segments, self.custom = padding, segments, custom
        self._additive: Tensor | None = None

    @property
    def is_plain_causal(self) -> bool:
        """Whether "key index at most query index" says it all, so that a kernel's causal flag is
        enough."""
        extras = (self.positions, self.window, self.padding, self.segments, self.custom)
        return (
            self.causal
            and self.query_length == self.key_length
            and all(extra is None for extra in extras)
        )

    def predicate(self, device: torch.device) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """The mask as ``(batch, head, query index, key index) -> visible``, elementwise over
        integer tensors."""
        positions = (
            torch.arange(self.query_length, device=device)
            if self.positions is None
            else self.positions
        )

        def visible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            place = key if self.key_positions is None else self.key_positions[key]
            seen = (place >= 0) & (query >= 0)
            if self.causal:
                seen = seen & (place <= positions[query])
            if self.window is not None:
                seen = seen & (place > positions[query] - self.window)
            if self.padding is not None:
                seen = seen & self.padding[batch, key]
            if self.segments is not None:
                seen = seen & (self.segments[batch, query] == self.segments[batch, key])
            return seen

        return visible

    def additive(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The mask as a tensor (1 or B, 1 or H, T, S) to add to the scores: 0 where visible, the
        lowest number elsewhere.

        The lowest finite number, not minus infinity: a query that sees nothing (padding) then
        averages and does not turn NaN.
        """
        if self.custom is not None:
            return self.custom.to(dtype)
        if self._additive is None or self._additive.dtype != dtype:
            rows = 1 if self.padding is None else len(self.padding)
            rows = rows if self.segments is None else max(rows, len(self.segments))
            sizes = (rows, 1, self.query_length, self.key_length)
            grid = [
                torch.arange(size, device=device).view([-1 if axis == i else 1 for i in range(4)])
                for axis, size in enumerate(sizes)
            ]
            visible = self.predicate(device)(*grid).expand(sizes)
            low = torch.finfo(dtype).min
            self._additive = torch.zeros(sizes, dtype=dtype, device=device).masked_fill_(
                ~visible, low
            )
        return self._additive


def causal_mask(
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    *,
    cache: Cache | None = None,
    cache_position: Tensor | None = None,
    position_ids: Tensor | None = None,
    window: int | None = None,
    layer_idx: int = 0,
) -> Mask | None:
    """Mask of a decoder that reads `hidden_states` (B, T, D) after what `cache` holds.

    `attention_mask` is (B, S) with 1 for real tokens, or a ready mask of three or four dimensions.
    `position_ids` (B, T), when given by the caller without padding and cache, mark packed sequences
    by starting again at 0. `layer_idx` picks whose cache is asked.
    """
    length = hidden_states.shape[1]
    keys = length if cache is None else cache.key_length(length, layer_idx)
    if attention_mask is not None and attention_mask.dim() > 2:
        return _ready_mask(attention_mask, length, keys, hidden_states.dtype)
    places = None
    if cache is not None and cache_position is not None:
        places = cache.layer(layer_idx).key_positions(cache_position)
    fixed = places is not None
    padding = _padding(attention_mask, keys, places)
    if length == 1 and padding is None and not fixed and (window is None or keys <= window):
        return None
    segments = (
        _segments(position_ids) if padding is None and keys == length and length > 1 else None
    )
    positions = cache_position if fixed else None
    if positions is None and keys != length:
        positions = torch.arange(keys - length, keys, device=hidden_states.device)
    if window is not None and keys <= window and not fixed:
        window = None
    return Mask(
        length,
        keys,
        causal=True,
        positions=positions,
        key_positions=places,
        window=window,
        padding=padding,
        segments=segments,
    )


def bidirectional_mask(
    hidden_states: Tensor, attention_mask: Tensor | None = None, key_length: int | None = None
) -> Mask | None:
    """Mask of an encoder, or of cross-attention to `key_length` keys: only padding hides keys."""
    length = hidden_states.shape[1]
    keys = length if key_length is None else key_length
    if attention_mask is not None and attention_mask.dim() > 2:
        return _ready_mask(attention_mask, length, keys, hidden_states.dtype)
    padding = _padding(attention_mask, keys)
    return None if padding is None else Mask(length, keys, padding=padding)


def text_positions(hidden_states: Tensor, attention_mask: Tensor | None) -> Tensor | None:
    """Which of the new positions (B, T) are text, for layers without attention; None when all are.

    `attention_mask` (B, S) may begin with what a cache holds.
    """
    shape = hidden_states.shape[:2]
    if attention_mask is not None and attention_mask.dim() != 2:
        raise ValueError(
            f"attention_mask of shape {tuple(attention_mask.shape)}: the model has recurrent "
            "layers, from which single keys cannot be hidden; give (batch, length)"
        )
    if attention_mask is not None and not (
        len(attention_mask) == shape[0] and attention_mask.shape[1] >= shape[1]
    ):
        raise ValueError(
            f"attention_mask of shape {tuple(attention_mask.shape)} for a text of {tuple(shape)}: "
            "give (batch, length), with what a cache holds in front"
        )
    return _padding(attention_mask, hidden_states.shape[1])


def _padding(
    attention_mask: Tensor | None, keys: int, places: Tensor | None = None
) -> Tensor | None:
    """The padding mask (B, `keys`) as booleans, None when nothing is padded; `places` (`keys`,)
    are the keys' positions, by default the last ones of the mask."""
    if attention_mask is None:
        return None
    visible = attention_mask.bool()
    if places is not None:  # of a key that is not there yet, causality hides whatever is found
        visible = visible[:, places.clamp(0, visible.shape[1] - 1)]
    elif visible.shape[1] > keys:
        visible = visible[:, -keys:]
    return None if not torch.compiler.is_compiling() and bool(visible.all()) else visible


def _segments(position_ids: Tensor | None) -> Tensor | None:
    """Number of the packed sequence of each token, None unless the positions are several runs that
    each start at 0."""
    if position_ids is None or torch.compiler.is_compiling():
        return None
    starts = position_ids == 0
    runs = (position_ids[:, 1:] - position_ids[:, :-1] == 1) | starts[:, 1:]
    packed = bool(starts[:, 0].all()) and bool(starts[:, 1:].any()) and bool(runs.all())
    return starts.cumsum(1) if packed else None


def _ready_mask(mask: Tensor, queries: int, keys: int, dtype: torch.dtype) -> Mask:
    """A mask given by the caller: (B, T, S) or (B, 1, T, S); booleans and integers mean visible,
    floats are added."""
    mask = mask if mask.dim() == 4 else mask[:, None]
    if mask.shape[-1] != keys or mask.shape[-2] not in (1, queries):
        raise ValueError(
            f"attention_mask of shape {tuple(mask.shape)} does not fit {queries} queries and "
            f"{keys} keys: "
            "give (batch, length), (batch, queries, keys) or (batch, 1, queries, keys)"
        )
    if not mask.is_floating_point():
        mask = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(
            ~mask.bool(), torch.finfo(dtype).min
        )
    return Mask(queries, keys, custom=mask)
