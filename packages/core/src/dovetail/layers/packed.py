"""Attention over packed tokens: many texts in one row, each attending to its own pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from dovetail.caches.paged import PagedCache, Span
from dovetail.masks import Mask


def packed_attention(
    attend: Callable[..., Tensor],
    query: Tensor,
    cache: PagedCache,
    layer_idx: int,
    bias: Tensor | None = None,
) -> Tensor:
    """Attend with `query` (1, H, T, E) of packed tokens, text by text; returns (1, T, H * E).

    `attend` is `dovetail.layers.attention.attention` with all its settings; each text is passed to
    it alone, as (1, H, t, E) with its own keys and mask, so that every implementation serves.
    `bias` (1, H, T, S) is that of each token towards the positions of its own text.
    """
    window = cache.windows[layer_idx]
    outputs = []
    for span in cache.spans:
        first = span.first_seen(window)
        key, value = cache.read(layer_idx, span, first)
        rows = slice(span.start, span.stop)
        own = None if bias is None else bias[:, :, rows, first : span.length]
        mask = None if span.stop - span.start == 1 else _mask(span, window, first, query.device)
        outputs.append(attend(query[:, :, rows], key, value, mask, bias=own))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


def _mask(span: Span, window: int | None, first: int, device: torch.device) -> Mask:
    """The causal mask among the tokens of `span` and towards what came before."""
    if (window, device) not in span.masks:
        queries, keys = span.stop - span.start, span.length - first
        positions = None if queries == keys else torch.arange(keys - queries, keys, device=device)
        narrow = window if window is not None and keys > window else None
        span.masks[window, device] = Mask(
            queries, keys, causal=True, positions=positions, window=narrow
        )
    return cast(Mask, span.masks[window, device])
