"""Checkpoints of 8-bit floats, written after their descriptions in loops over rows and blocks."""

from __future__ import annotations

import torch
from quantized import Case, Pack
from torch import Tensor

LARGEST = 448.0


def rows(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """A scale for each row."""
    scales = torch.stack([row.double().abs().max() / LARGEST for row in weight]).float()
    codes = torch.stack(
        [
            (row.float() / scale).to(torch.float8_e4m3fn)
            for row, scale in zip(weight, scales, strict=True)
        ]
    )
    plain = torch.stack(
        [row.double() * scale.double() for row, scale in zip(codes, scales, strict=True)]
    )
    return {"weight": codes, "weight_scale": scales.view(-1, 1)}, plain.float()


def blocks(size: int) -> Pack:
    """A scale for each block of `size` by `size`; the last blocks are smaller."""

    def pack(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        high, wide = (-(-length // size) for length in weight.shape)
        scales = torch.zeros(high, wide)
        codes = torch.zeros(weight.shape, dtype=torch.float8_e4m3fn)
        plain = torch.zeros(weight.shape, dtype=torch.float64)
        for row in range(high):
            for column in range(wide):
                place = (
                    slice(row * size, row * size + size),
                    slice(column * size, column * size + size),
                )
                scale = (weight[place].double().abs().max() / LARGEST).float()
                scales[row, column] = scale
                codes[place] = (weight[place].float() / scale).to(torch.float8_e4m3fn)
                plain[place] = codes[place].double() * scale.double()
        return {"weight": codes, "weight_scale_inv": scales}, plain.float()

    return pack


CASES = [
    Case(
        "fbgemm-fp8",
        {
            "quant_method": "fbgemm_fp8",
            "activation_scale_ub": 1200.0,
            "modules_to_not_convert": ["lm_head"],
        },
        rows,
    ),
    Case(
        "fp8-blocks",
        {
            "quant_method": "fp8",
            "activation_scheme": "dynamic",
            "fmt": "e4m3",
            "weight_block_size": [48, 48],
        },
        blocks(48),
    ),
]
