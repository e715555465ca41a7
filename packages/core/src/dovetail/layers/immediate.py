"""What may be done when operations run as they are called, on memory that can be looked at.

A few layers are quicker when they know where tensors lie, or what numbers they hold. That is so in
plain inference alone: gradients, graphs and transforms need to see ordinary operations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

PLAIN_TENSORS = (nn.Parameter, Tensor)


def is_immediate() -> bool:
    """Whether nothing records operations or stands between them and memory: no gradients, no
    compilation or export, no trace, no transform of functions such as ``vmap``."""
    return not (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def as_one(tensors: Sequence[Tensor | None], dim: int = 0) -> Tensor | None:
    """A view of `tensors` as one, joined along `dim` (counted from 0); None when they do not follow
    each other in one storage, or differ in more than their size along `dim`.
    """
    first = tensors[0]
    if first is None:
        return None
    shape, strides, end = first.shape, first.stride(), first.data_ptr()
    before, behind, size = shape[:dim], shape[dim + 1 :], 0
    for tensor in tensors:
        if tensor is None or tensor.data_ptr() != end or type(tensor) not in PLAIN_TENSORS:
            return None
        its = tensor.shape
        if its[:dim] != before or its[dim + 1 :] != behind or tensor.dtype is not first.dtype:
            return None
        if tensor.stride() != strides and not _same_steps(tensor, strides):
            return None
        size += its[dim]
        end += its[dim] * strides[dim] * first.itemsize
    storage = first.untyped_storage()
    if end > storage.data_ptr() + storage.nbytes():
        return None  # neighbours by chance
    return first.as_strided((*before, size, *behind), strides)


def _same_steps(tensor: Tensor, strides: Sequence[int]) -> bool:
    """Whether `strides` lead to the same elements: along an axis of size 1 any do."""
    return all(
        size == 1 or step == its
        for size, step, its in zip(tensor.shape, strides, tensor.stride(), strict=True)
    )
