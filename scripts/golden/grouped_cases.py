"""Checkpoints in the layouts of GPTQ and AWQ, packed word by word after their descriptions.

The packages that define these formats need a graphics card. What the tensors mean is written here a
second time, in plain loops and float64, so that a mistake would have to be made twice.
"""

from __future__ import annotations

import numpy as np
import torch
from quantized import Case, Pack
from torch import Tensor

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which column of eight lies in each half byte of a word, from the lowest."""


def grouped(
    weight: Tensor, bits: int, size: int, symmetric: bool, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes (out, in), zeros and float16 scales (groups, out)."""
    values = weight.double().numpy()
    count, last = groups.max() + 1, 2**bits - 1
    scales, zeros = np.zeros((count, len(values)), np.float16), np.zeros((count, len(values)), int)
    codes = np.zeros(values.shape, int)
    for group in range(count):
        columns = values[:, groups == group]
        low, high = np.minimum(columns.min(1), 0), np.maximum(columns.max(1), 0)
        if symmetric:
            high = np.maximum(high, -low)
            low = -high
        scale = ((high - low) / last).astype(np.float16)
        zero = np.full(len(values), 2 ** (bits - 1)) if symmetric else np.round(-low / scale)
        scales[group], zeros[group] = scale, zero.astype(int)
        wide = scale.astype(np.float64)[:, None]
        codes[:, groups == group] = np.clip(np.round(columns / wide + zero[:, None]), 0, last)
    return codes, zeros, scales


def words(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Rows of numbers as rows of 32-bit words: one long number each, the first lowest."""
    rows = []
    for row in numbers:
        long = sum(int(number) << (bits * place) for place, number in enumerate(row))
        count = -(-len(row) * bits // 32)
        rows.append([long >> (32 * place) & 0xFFFFFFFF for place in range(count)])
    return np.array(rows, np.uint32).view(np.int32)


def gptq(bits: int, size: int, symmetric: bool, version: int, shuffled: bool) -> Pack:
    """A pack of AutoGPTQ's layout; `version` 1 stores zeros less one."""

    def pack(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        inputs = weight.shape[1]
        width = inputs if size == -1 else size
        groups = np.arange(inputs) // width
        if shuffled:
            groups = np.random.default_rng(0).permutation(groups)
        codes, zeros, scales = grouped(weight, bits, width, symmetric, groups)
        stored = (zeros - 1) % 2**bits if version == 1 else zeros
        tensors = {
            "qweight": torch.from_numpy(words(codes.T.copy().T, bits).T.copy()),
            "qzeros": torch.from_numpy(words(stored, bits)),
            "scales": torch.from_numpy(scales),
            "g_idx": torch.from_numpy(groups.astype(np.int32)),
        }
        wide = scales.astype(np.float64)[groups].T
        return tensors, torch.from_numpy((codes - zeros[groups].T) * wide).float()

    return pack


def awq(size: int, version: str) -> Pack:
    """A pack of AutoAWQ's layouts."""

    def pack(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        groups = np.arange(weight.shape[1]) // size
        codes, zeros, scales = grouped(weight, 4, size, False, groups)
        wide = scales.astype(np.float64)[groups].T
        plain = torch.from_numpy((codes - zeros[groups].T) * wide).float()
        if version == "gemv":
            return gemv(codes, zeros.T, scales.T, size), plain
        shuffle = [8 * word + place for word in range(len(codes) // 8) for place in AWQ_ORDER]
        tensors = {
            "qweight": torch.from_numpy(words(codes.T[:, shuffle], 4)),
            "qzeros": torch.from_numpy(words(zeros[:, shuffle], 4)),
            "scales": torch.from_numpy(scales),
        }
        return tensors, plain

    return pack


def gemv(codes: np.ndarray, zeros: np.ndarray, scales: np.ndarray, size: int) -> dict[str, Tensor]:
    """The layout whose rows are outputs; groups are padded to a number of words."""
    factor = {32: 4, 64: 2}.get(size, 1)
    width = -(-zeros.shape[1] // 8)
    width = -(-width // factor) * factor
    room = ((0, 0), (0, width * 8 - zeros.shape[1]))
    return {
        "qweight": torch.from_numpy(words(codes, 4)),
        "qzeros": torch.from_numpy(words(np.pad(zeros, room), 4)),
        "scales": torch.from_numpy(np.pad(scales, room)),
    }


CASES = [
    Case(
        f"gptq-{bits}{'-v2' if version == 2 else ''}{'' if symmetric else '-asymmetric'}"
        f"{'-act-order' if shuffled else ''}{'-rows' if size == -1 else ''}",
        {
            "quant_method": "gptq",
            "bits": bits,
            "group_size": size,
            "sym": symmetric,
            "desc_act": shuffled,
            "damp_percent": 0.01,
            "checkpoint_format": "gptq" if version == 1 else "gptq_v2",
            "static_groups": False,
            "true_sequential": True,
            "model_file_base_name": "model",
            "model_name_or_path": None,
        },
        gptq(bits, size, symmetric, version, shuffled),
    )
    for bits, size, symmetric, version, shuffled in (
        (2, 32, False, 1, False),
        (3, 32, True, 1, False),
        (4, 32, True, 1, False),
        (4, 64, False, 2, False),
        (4, 32, False, 1, True),
        (8, -1, True, 1, False),
        (8, 32, False, 2, False),
    )
] + [
    Case(
        f"awq-{version}",
        {
            "quant_method": "awq",
            "bits": 4,
            "group_size": size,
            "zero_point": True,
            "version": version,
            "modules_to_not_convert": None,
        },
        awq(size, version),
    )
    for version, size in (("gemm", 32), ("gemv", 32), ("exllama", 64))
]
