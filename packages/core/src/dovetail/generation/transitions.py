"""The scores of the tokens that were chosen, read from the scores of all tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def transition_scores(
    sequences: Tensor, scores: tuple[Tensor, ...], beam_indices: Tensor | None, normalize: bool
) -> Tensor:
    """Scores (B, steps) of the last tokens of `sequences` (B, T) among `scores`, one (rows, V) a
    step.

    `beam_indices` (B, at least steps) say from which row a token came, -1 where the text had ended;
    without them it is its own.
    """
    stacked = torch.stack(tuple(scores), dim=1)  # (rows, steps, V)
    if normalize:
        stacked = stacked.log_softmax(dim=-1)
    if beam_indices is None:
        rows = torch.arange(len(sequences), device=sequences.device)[:, None].expand(
            -1, len(scores)
        )
    else:
        longest = int((beam_indices >= 0).sum(dim=-1).max())
        rows = beam_indices[:, :longest]
    steps = torch.arange(rows.shape[1], device=sequences.device)
    tokens = sequences[:, sequences.shape[1] - rows.shape[1] :]
    ended = rows < 0
    chosen = stacked[rows.clamp(min=0), steps, tokens]
    return chosen.masked_fill(ended, 0)
