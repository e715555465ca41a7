"""SpecAugment: in training, spans of time and of frequency are hidden (arXiv 1904.08779)."""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail_models_audio.whisper.configuration import WhisperConfig


def hide_spans(features: Tensor, config: WhisperConfig, mask: Tensor | None = None) -> Tensor:
    """`features` (B, M, F) with spans of frames and of mel bins set to zero; of rows that `mask`
    (B, F) says are shorter only what is heard counts.

    How many spans a row gets follows from ``mask_*_prob``, the share of positions that are to be
    hidden if spans did not overlap.
    """
    batch, bins, frames = features.shape
    heard = [frames] * batch if mask is None else mask.sum(-1).tolist()
    hidden = torch.zeros(batch, bins, frames, dtype=torch.bool)
    if config.mask_time_prob > 0:
        time = config.mask_time_prob, config.mask_time_length, config.mask_time_min_masks
        hidden |= torch.stack([_spans(frames, int(length), *time) for length in heard])[:, None]
    if config.mask_feature_prob > 0:
        feature = config.mask_feature_prob, config.mask_feature_length
        spans = [_spans(bins, bins, *feature, config.mask_feature_min_masks) for _ in heard]
        hidden |= torch.stack(spans)[:, :, None]
    return features.masked_fill(hidden.to(features.device), 0.0)


def _spans(size: int, length: int, share: float, width: int, least: int) -> Tensor:
    """A mask (size,) of spans of `width` positions, which begin at different ones of the first
    `length`."""
    if width > size:
        raise ValueError(f"Spans of {width} positions do not fit into {size}: make them shorter.")
    starts = max(length - width + 1, 0)
    wanted = max(int(share * length / width + torch.rand(()).item()), least)
    count = min(wanted, size // width, starts)
    begins = torch.randperm(starts)[:count]
    mask = torch.zeros(size, dtype=torch.bool)
    mask[(begins[:, None] + torch.arange(width)).flatten()] = True
    return mask
