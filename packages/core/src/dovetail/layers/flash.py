"""FlashAttention 2 on padded, packed and cached batches, through the ``flash_attn`` package."""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail.masks import Mask


def flash(
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
    """Attention of `query` (B, H, T, E) over `key` and `value` (B, K, S, E); returns (B, H, T, E).

    Raises ImportError without the package, ValueError for what the kernel cannot do (float32, bias,
    ready-made masks).
    """
    try:
        from flash_attn import flash_attn_func, flash_attn_varlen_func
    except ImportError as error:
        raise ImportError(
            "attn_implementation='flash_attention_2' needs the package flash-attn: "
            "pip install flash-attn, "
            "or choose attn_implementation='sdpa'."
        ) from error
    if bias is not None or (mask is not None and mask.custom is not None):
        raise ValueError(
            "flash_attention_2 takes no attention bias or ready-made mask; "
            "use attn_implementation='sdpa'."
        )
    if query.dtype not in (torch.float16, torch.bfloat16):
        raise ValueError(
            f"flash_attention_2 needs float16 or bfloat16, got {query.dtype}: "
            "load with torch_dtype=torch.bfloat16."
        )
    query, key, value = (states.transpose(1, 2) for states in (query, key, value))  # (B, T, H, E)
    window = (-1, -1) if mask is None or mask.window is None else (mask.window - 1, 0)
    options = {
        "dropout_p": dropout,
        "softmax_scale": scale,
        "causal": mask is not None and mask.causal,
        "window_size": window,
        "softcap": softcap or 0.0,
    }
    if mask is None or (mask.padding is None and mask.segments is None):
        if (
            mask is not None and mask.positions is not None
        ):  # a static cache: drop what is not written yet
            seen = int(mask.positions[-1]) + 1
            key, value = key[:, :seen], value[:, :seen]
        return flash_attn_func(query, key, value, **options).transpose(1, 2)
    key_rows, query_rows = _runs(mask, query, key)
    output = flash_attn_varlen_func(
        query.flatten(0, 1)[query_rows.kept],
        key.flatten(0, 1)[key_rows.kept],
        value.flatten(0, 1)[key_rows.kept],
        query_rows.starts,
        key_rows.starts,
        query_rows.longest,
        key_rows.longest,
        **options,
    )
    full = output.new_zeros(query.shape[0] * query.shape[1], *output.shape[1:])
    full[query_rows.kept] = output
    return full.view(*query.shape[:2], *output.shape[1:]).transpose(1, 2)


class _Rows:
    """Which rows of a flattened batch are real (`kept`), and where each sequence starts among
    them."""

    def __init__(self, kept: Tensor, lengths: Tensor) -> None:
        self.kept = kept
        self.starts = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
        self.longest = int(lengths.max())


def _runs(mask: Mask, query: Tensor, key: Tensor) -> tuple[_Rows, _Rows]:
    if mask.segments is not None:
        numbers = (
            mask.segments
            + torch.arange(len(mask.segments), device=key.device)[:, None] * mask.segments.max()
        )
        lengths = torch.unique_consecutive(numbers.flatten(), return_counts=True)[1]
        rows = _Rows(torch.arange(numbers.numel(), device=key.device), lengths)
        return rows, rows
    everything = torch.ones(query.shape[:2], dtype=torch.bool, device=key.device)
    padding = everything if mask.padding is None else mask.padding
    key_rows = _Rows(padding.flatten().nonzero()[:, 0], padding.sum(1))
    real = padding[:, -query.shape[1] :] if mask.causal else everything
    return key_rows, _Rows(real.flatten().nonzero()[:, 0], real.sum(1))
