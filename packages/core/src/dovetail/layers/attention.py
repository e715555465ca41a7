"""Attention behind one function.

`attention` picks the implementation by name; plugins add their own through the hook
``dovetail_attention_implementations``, with the signature of `sdpa_attention`.

B batch, T query length, S key length, H heads, K key-value heads, E head width.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache as memoize
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail.masks import Mask

if TYPE_CHECKING:
    from dovetail.recording import Recorder

AttentionFunction = Callable[..., Tensor]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Mask | None = None,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
    bias: Tensor | None = None,
    softcap: float | None = None,
    head_mask: Tensor | None = None,
    implementation: str = "sdpa",
    recorder: Recorder | None = None,
    record_as: str = "attentions",
) -> Tensor:
    """Attend with `query` (B, H, T, E) to `key` and `value` (B, K, S, E); K divides H.

    Returns (B, T, H * E).     `scale` multiplies the scores (default ``E ** -0.5``); `bias` (1 or
    B, H, T, S) is added to them, `softcap` bounds them;     `head_mask` (H, 1, 1) multiplies the
    weights; `dropout` is the probability of dropping a weight. When `recorder` wants the
    weights, or `head_mask` is given, the plain implementation is used, since others never hold the
    weights.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    wants_weights = recorder is not None and recorder.attentions
    if wants_weights or head_mask is not None:
        output, weights = weighted_attention(
            query, key, value, mask, scale, dropout, bias, softcap, head_mask
        )
        if wants_weights:
            recorder.add(record_as, weights)  # type: ignore[union-attr]
    else:
        run = sdpa_attention if implementation == "sdpa" else implementation_named(implementation)
        output = run(
            query, key, value, mask, scale=scale, dropout=dropout, bias=bias, softcap=softcap
        )
    if output.shape[2] == 1:  # the order is right already
        return output.reshape(len(output), 1, -1)
    return output.transpose(1, 2).flatten(2)


@memoize
def implementation_named(name: str) -> AttentionFunction:
    """The function registered as attention implementation `name`; raises UnknownNameError with near
    matches."""
    from dovetail import registry

    return registry.resolve(registry.attentions().get(name).function)


def weighted_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Mask | None,
    scale: float,
    dropout: float = 0.0,
    bias: Tensor | None = None,
    softcap: float | None = None,
    head_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention as the formula says.

    Returns the output (B, H, T, E) and the weights (B, H, T, S).
    """
    key, value = repeat_heads(key, query.shape[1]), repeat_heads(value, query.shape[1])
    scores = query @ key.transpose(-1, -2) * scale  # (B, H, T, S)
    scores = soft_cap(scores, softcap)
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = scores + mask.additive(scores.dtype, scores.device)
    weights = F.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
    weights = F.dropout(weights, dropout, training=dropout > 0)
    if head_mask is not None:
        weights = weights * head_mask
    return weights @ value, weights


def eager_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Mask | None,
    *,
    scale: float,
    dropout: float = 0.0,
    bias: Tensor | None = None,
    softcap: float | None = None,
) -> Tensor:
    """The plain formula, without the weights."""
    return weighted_attention(query, key, value, mask, scale, dropout, bias, softcap)[0]


def sdpa_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Mask | None,
    *,
    scale: float,
    dropout: float = 0.0,
    bias: Tensor | None = None,
    softcap: float | None = None,
) -> Tensor:
    """PyTorch's fused kernel.

    A plain causal mask is not built; at decoding, grouped heads are not repeated.
    """
    if softcap is not None:
        return eager_attention(
            query, key, value, mask, scale=scale, dropout=dropout, bias=bias, softcap=softcap
        )
    batch, heads, length, width = query.shape
    groups = heads // key.shape[1]
    if (
        length == 1 and groups > 1 and bias is None
    ):  # the heads of a group are like queries of one head
        added = None if mask is None else mask.additive(query.dtype, query.device)
        grouped = query.view(batch, key.shape[1], groups, width)
        output = F.scaled_dot_product_attention(grouped, key, value, added, dropout, scale=scale)
        return output.reshape(batch, heads, 1, -1)
    key, value = repeat_heads(key, heads), repeat_heads(value, heads)
    causal = bias is None and mask is not None and mask.is_plain_causal
    added = None if mask is None or causal else mask.additive(query.dtype, query.device)
    if bias is not None:
        added = bias if added is None else bias + added
    return F.scaled_dot_product_attention(
        query, key, value, added, dropout, is_causal=causal, scale=scale
    )


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Mask | None,
    *,
    scale: float,
    dropout: float = 0.0,
    bias: Tensor | None = None,
    softcap: float | None = None,
) -> Tensor:
    """PyTorch's FlexAttention: masks stay predicates, so that whole blocks are skipped on a GPU."""
    if dropout > 0 or (mask is not None and mask.custom is not None):
        return sdpa_attention(
            query, key, value, mask, scale=scale, dropout=dropout, bias=bias, softcap=softcap
        )

    def change(score: Tensor, batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        score = soft_cap(score, softcap)
        return score if bias is None else score + bias[batch % bias.shape[0], head, row, column]

    blocks = None
    if mask is not None:
        from torch.nn.attention.flex_attention import create_block_mask

        blocks = create_block_mask(
            mask.predicate(query.device),
            len(query),
            None,
            query.shape[2],
            key.shape[2],
            device=query.device,
        )
    score_mod = change if softcap is not None or bias is not None else None
    grouped = query.shape[1] != key.shape[1]
    run = _flex_kernel(query.device.type != "cpu")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
        return run(
            query,
            key,
            value,
            score_mod=score_mod,
            block_mask=blocks,
            scale=scale,
            enable_gqa=grouped,
        )


@memoize
def _flex_kernel(compiled: bool) -> AttentionFunction:
    """FlexAttention, as a fused kernel where compiling pays."""
    from torch.nn.attention.flex_attention import flex_attention as flex

    return cast(AttentionFunction, torch.compile(flex) if compiled else flex)


def flash_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Mask | None,
    *,
    scale: float,
    dropout: float = 0.0,
    bias: Tensor | None = None,
    softcap: float | None = None,
) -> Tensor:
    """The ``flash_attn`` package (arXiv 2307.08691): half precision on a GPU; padding is cut out
    before the kernel runs."""
    from dovetail.layers.flash import flash

    return flash(query, key, value, mask, scale=scale, dropout=dropout, bias=bias, softcap=softcap)


def soft_cap(x: Tensor, bound: float | None) -> Tensor:
    """`x` squeezed smoothly between ``-bound`` and `bound`; None leaves it."""
    return x if bound is None else torch.tanh(x / bound) * bound


def split_heads(states: Tensor, width: int) -> Tensor:
    """Split (B, T, H * `width`) into heads: (B, H, T, `width`)."""
    if states.shape[1] == 1:
        return states.view(len(states), states.shape[2] // width, 1, width)
    return states.unflatten(-1, (-1, width)).transpose(1, 2)


def repeat_heads(states: Tensor, heads: int) -> Tensor:
    """Repeat (B, K, S, E) to (B, `heads`, S, E), each key-value head for its group of query
    heads."""
    repeats = heads // states.shape[1]
    return states if repeats == 1 else states.repeat_interleave(repeats, dim=1)
