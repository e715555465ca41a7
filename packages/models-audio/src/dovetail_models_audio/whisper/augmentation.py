"""SpecAugment: in training, spans of time and of frequency are hidden (arXiv 1904.08779)."""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail_models_audio.wav2vec2.masking import span_mask
from dovetail_models_audio.whisper.configuration import WhisperConfig


def hide_spans(features: Tensor, config: WhisperConfig, mask: Tensor | None = None) -> Tensor:
    """`features` (B, M, F) with spans of frames and of mel bins set to zero; of rows that `mask`
    (B, F) says are shorter only what is heard counts.

    How many spans a row gets follows from ``mask_*_prob``, the share of positions that are to be
    hidden if spans did not overlap.
    """
    batch, bins, frames = features.shape
    hidden = torch.zeros(batch, bins, frames, dtype=torch.bool)
    if config.mask_time_prob > 0:
        heard = None if mask is None else mask.sum(-1)
        hidden |= span_mask(
            (batch, frames),
            config.mask_time_prob,
            config.mask_time_length,
            heard,
            config.mask_time_min_masks,
        )[:, None]
    if config.mask_feature_prob > 0:
        hidden |= span_mask(
            (batch, bins),
            config.mask_feature_prob,
            config.mask_feature_length,
            least=config.mask_feature_min_masks,
        )[:, :, None]
    return features.masked_fill(hidden.to(features.device), 0.0)
