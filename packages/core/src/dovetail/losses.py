"""Training losses of the task heads.

Labels equal to -100 are ignored everywhere.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100


def language_modeling_loss(
    logits: Tensor,
    labels: Tensor,
    num_items_in_batch: Tensor | int | None = None,
    shift: bool = True,
) -> Tensor:
    """Cross-entropy of `logits` (B, T, V), in float32, with `labels` (B, T); with `shift`, position
    t predicts label t + 1.

    `num_items_in_batch` replaces the number of labels in the mean, for gradient accumulation over
    unequal batches.
    """
    logits, labels = logits.float(), labels.to(logits.device)
    if shift:
        logits, labels = logits[..., :-1, :], labels[..., 1:]
    reduction = "mean" if num_items_in_batch is None else "sum"
    loss = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        labels.reshape(-1),
        ignore_index=IGNORED,
        reduction=reduction,
    )
    return loss if num_items_in_batch is None else loss / num_items_in_batch


def sequence_classification_loss(logits: Tensor, labels: Tensor, config: Any) -> Tensor:
    """Loss of `logits` (B, labels) by ``config.problem_type``, which is inferred from the labels
    and kept when it is not set."""
    labels = labels.to(logits.device)
    if config.problem_type is None:
        config.problem_type = _problem_type(config.num_labels, labels)
    if config.problem_type == "regression":
        return (
            F.mse_loss(logits.squeeze(), labels.squeeze())
            if config.num_labels == 1
            else F.mse_loss(logits, labels)
        )
    if config.problem_type == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits, labels)
    return F.cross_entropy(logits.view(-1, config.num_labels), labels.view(-1))


def _problem_type(num_labels: int, labels: Tensor) -> str:
    if num_labels == 1:
        return "regression"
    whole = labels.dtype in (torch.long, torch.int)
    return "single_label_classification" if whole else "multi_label_classification"


def load_balancing_loss(
    router_logits: tuple[Tensor, ...], top_k: int, attention_mask: Tensor | None = None
) -> Tensor:
    """How unevenly routers use their experts (arXiv 2101.03961, equations 4 to 6): `top_k` when
    they use all alike.

    `router_logits` are (B * T, experts) for each layer; padding, where `attention_mask` (B, T) is
    zero, does not count.
    """
    logits = torch.stack(router_logits)  # (L, B * T, X)
    probabilities = logits.softmax(-1)
    chosen = probabilities.topk(top_k, -1).indices
    share = F.one_hot(chosen, logits.shape[-1]).sum(-2).to(logits.dtype)  # (L, B * T, X)
    if attention_mask is None:
        weight = logits.new_ones(logits.shape[1], 1)
    else:
        length = logits.shape[1] // len(attention_mask)
        weight = attention_mask[:, -length:].reshape(-1, 1).to(logits.dtype)
    total = weight.sum() * len(logits)
    used = (share * weight).sum((0, 1)) / total
    wanted = (probabilities * weight).sum((0, 1)) / total
    return (used * wanted).sum() * logits.shape[-1]


def token_classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of `logits` (B, T, labels) with `labels` (B, T)."""
    return F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        labels.to(logits.device).reshape(-1),
        ignore_index=IGNORED,
    )


def question_answering_loss(
    start_logits: Tensor, end_logits: Tensor, starts: Tensor, ends: Tensor
) -> Tensor:
    """Mean cross-entropy of where an answer starts and ends; `starts` and `ends` (B,) beyond the
    text are ignored."""
    length = start_logits.shape[1]

    def side(logits: Tensor, positions: Tensor) -> Tensor:
        positions = positions.squeeze(-1) if positions.dim() > 1 else positions
        return F.cross_entropy(
            logits, positions.to(logits.device).clamp(0, length), ignore_index=length
        )

    return (side(start_logits, starts) + side(end_logits, ends)) / 2
