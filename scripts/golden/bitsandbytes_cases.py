"""Checkpoints packed by bitsandbytes."""

from __future__ import annotations

import bitsandbytes.functional as bnb
import torch
from quantized import Case, Pack
from torch import Tensor


def four_bits(code: str, nested: bool) -> Pack:
    """FP4 or NF4, with or without double quantization."""

    def pack(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        codes, state = bnb.quantize_4bit(weight, quant_type=code, compress_statistics=nested)
        tensors = {f"weight.{name}": value for name, value in state.as_dict(packed=True).items()}
        return tensors | {"weight": codes}, bnb.dequantize_4bit(codes, state)

    return pack


def eight_bits(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """LLM.int8's rows."""
    codes, largest, _ = bnb.int8_vectorwise_quant(weight.half())
    tensors = {"weight": codes, "SCB": largest, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    return tensors, bnb.int8_vectorwise_dequant(codes, largest)


CASES = [
    Case(
        f"bitsandbytes-{code}{'-nested' if nested else ''}",
        {
            "quant_method": "bitsandbytes",
            "load_in_4bit": True,
            "load_in_8bit": False,
            "bnb_4bit_quant_type": code,
            "bnb_4bit_use_double_quant": nested,
            "bnb_4bit_compute_dtype": "float32",
            "bnb_4bit_quant_storage": "uint8",
            "llm_int8_skip_modules": None,
        },
        four_bits(code, nested),
        dtype,
    )
    for code, nested, dtype in (
        ("nf4", False, torch.float32),
        ("nf4", True, torch.bfloat16),
        ("fp4", False, torch.float16),
        ("fp4", True, torch.float32),
    )
] + [
    Case(
        "bitsandbytes-8",
        {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_threshold": 6.0},
        eight_bits,
        torch.float16,
    )
]
