"""Rounding a matrix so that its products with given activations stay (arXiv 2210.17323)."""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail_quantizers.gptq.configuration import GPTQConfig
from dovetail_quantizers.grouped import rounded_groups

COLUMNS = 128
"""Columns after which the rest of the matrix is brought up to date."""


def compensated(
    weight: Tensor, hessian: Tensor, config: GPTQConfig, group_size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Quantize `weight` (out, in), knowing `hessian` (in, in), the mean of ``x^T x``.

    Columns are rounded one by one, and the error of each is spread over those to come so that the
    output stays near. Returns the weight as it is rounded (out, in), scale and zero (out, groups),
    and the order (in) in which columns form groups.
    """
    weight, hessian = weight.float().clone(), hessian.float().clone()
    unseen = hessian.diagonal() == 0
    hessian[unseen, unseen] = 1
    weight[:, unseen] = 0
    order = torch.arange(len(hessian), device=weight.device)
    if config.desc_act:
        order = hessian.diagonal().argsort(descending=True, stable=True)
    weight, hessian = weight[:, order], hessian[order][:, order]
    hessian.diagonal().add_(config.damp_percent * hessian.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    factor = torch.linalg.cholesky(inverse, upper=True)
    rounded, scales, zeros = torch.zeros_like(weight), [], []
    for start in range(0, weight.shape[1], COLUMNS):
        stop = min(start + COLUMNS, weight.shape[1])
        errors = torch.zeros_like(weight[:, start:stop])
        for column in range(start, stop):
            if column % group_size == 0:
                group = weight[:, column : column + group_size]
                scale, zero = rounded_groups(group, config.bits, group.shape[1], config.sym)
                scale = scale.half().float()
                scales.append(scale)
                zeros.append(zero)
            values = weight[:, column]
            rounded[:, column] = _round(values, scales[-1], zeros[-1], config.bits)
            error = (values - rounded[:, column]) / factor[column, column]
            weight[:, column:stop] -= error.unsqueeze(1) * factor[column, column:stop]
            errors[:, column - start] = error
        weight[:, stop:] -= errors @ factor[start:stop, stop:]
    return rounded[:, order.argsort()], torch.cat(scales, 1), torch.cat(zeros, 1), order


def _round(values: Tensor, scale: Tensor, zero: Tensor, bits: int) -> Tensor:
    codes = (values / scale[:, 0] + zero[:, 0]).round().clamp(0, 2**bits - 1)
    return (codes - zero[:, 0]) * scale[:, 0]
