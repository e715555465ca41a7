"""Trading time for memory: a function of many positions, computed for a few at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def apply_chunking_to_forward(
    forward_fn: Callable[..., Tensor], chunk_size: int, chunk_dim: int, *input_tensors: Tensor
) -> Tensor:
    """``forward_fn(*input_tensors)``, computed for `chunk_size` positions of `chunk_dim` at a time
    (0: all at once); positions must not depend on one another.

    Raises:
        ValueError: there are no inputs, they differ in length, or the length is no multiple of
        `chunk_size`.
    """
    lengths = {tensor.shape[chunk_dim] for tensor in input_tensors}
    if len(lengths) != 1:
        raise ValueError(
            f"input_tensors have the lengths {sorted(lengths)} in dimension {chunk_dim}: give at "
            "least one tensor, all of one length."
        )
    if chunk_size <= 0:
        return forward_fn(*input_tensors)
    (length,) = lengths
    if length % chunk_size:
        raise ValueError(
            f"chunk_size={chunk_size} does not divide the length {length} of dimension {chunk_dim}."
        )
    chunks = zip(*(t.split(chunk_size, chunk_dim) for t in input_tensors), strict=True)
    return torch.cat([forward_fn(*chunk) for chunk in chunks], chunk_dim)
