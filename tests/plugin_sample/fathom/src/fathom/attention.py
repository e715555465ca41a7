"""An attention implementation: the formula, one head after the other."""

import torch


def attention_by_head(query, key, value, mask, *, scale, dropout=0.0, bias=None, softcap=None):
    """What `dovetail.layers.attention.sdpa_attention` computes, in its signature."""
    added = 0.0 if mask is None else mask.additive(query.dtype, query.device)
    added = added if bias is None else added + bias
    groups = query.shape[1] // key.shape[1]
    outputs = []
    for head in range(query.shape[1]):
        scores = query[:, head] @ key[:, head // groups].transpose(1, 2) * scale  # (B, T, S)
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        if isinstance(added, torch.Tensor):
            scores = scores + added[:, head if added.shape[1] > 1 else 0]
        weights = torch.nn.functional.dropout(scores.softmax(-1), dropout, dropout > 0)
        outputs.append(weights @ value[:, head // groups])
    return torch.stack(outputs, 1)
