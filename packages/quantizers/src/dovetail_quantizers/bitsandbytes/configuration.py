"""The settings of bitsandbytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from dovetail.errors import ConfigError
from dovetail.quantizers import QuantizationConfigMixin

CODES = ("fp4", "nf4")
STORAGES = ("float16", "float32", "int8", "uint8", "float64", "bfloat16")


@dataclass
class BitsAndBytesConfig(QuantizationConfigMixin):
    """8-bit (`load_in_8bit`) or 4-bit (`load_in_4bit`) weights in the format of bitsandbytes.

    8 bits: columns of activations with an entry above `llm_int8_threshold` are multiplied in full
    precision (0 turns that off). `llm_int8_skip_modules` are paths, or parts of paths, of modules
    that stay as they are, in both widths.

    4 bits: `bnb_4bit_quant_type` is ``"fp4"`` or ``"nf4"``; products are computed in
    `bnb_4bit_compute_dtype`; `bnb_4bit_use_double_quant` packs the scales too;
    `bnb_4bit_quant_storage` is the type under which the bytes are stored.

    Raises:
        ConfigError: a setting cannot be, or both widths are asked for.
    """

    quant_method: str = "bitsandbytes"
    load_in_8bit: bool = False
    load_in_4bit: bool = False
    llm_int8_threshold: float = 6.0
    llm_int8_skip_modules: list[str] | None = None
    llm_int8_enable_fp32_cpu_offload: bool = False
    llm_int8_has_fp16_weight: bool = False
    bnb_4bit_quant_type: str = "fp4"
    bnb_4bit_use_double_quant: bool = False
    bnb_4bit_compute_dtype: Any = "float32"
    bnb_4bit_quant_storage: Any = "uint8"

    def __post_init__(self) -> None:
        if self.load_in_4bit and self.load_in_8bit:
            raise ConfigError(
                "BitsAndBytesConfig: load_in_4bit and load_in_8bit are both True. Choose one."
            )
        if self.bnb_4bit_quant_type not in CODES:
            raise ConfigError(
                f"BitsAndBytesConfig: bnb_4bit_quant_type={self.bnb_4bit_quant_type!r} is neither "
                "'fp4' nor 'nf4'. Choose one of them."
            )
        self.bnb_4bit_compute_dtype = _dtype(
            self.bnb_4bit_compute_dtype, "bnb_4bit_compute_dtype", torch.float32
        )
        self.bnb_4bit_quant_storage = _dtype(
            self.bnb_4bit_quant_storage, "bnb_4bit_quant_storage", torch.uint8
        )
        if str(self.bnb_4bit_quant_storage).removeprefix("torch.") not in STORAGES:
            raise ConfigError(
                f"BitsAndBytesConfig: bnb_4bit_quant_storage={self.bnb_4bit_quant_storage} is not "
                f"one of {', '.join(STORAGES)}. Choose one of them."
            )

    def quantization_method(self) -> str | None:
        """``"llm_int8"``, ``"fp4"``, ``"nf4"``, or None if nothing is asked for."""
        if self.load_in_8bit:
            return "llm_int8"
        return self.bnb_4bit_quant_type if self.load_in_4bit else None

    def is_quantizable(self) -> bool:
        """Whether a width is asked for."""
        return self.load_in_8bit or self.load_in_4bit


def _dtype(value: Any, name: str, default: torch.dtype) -> torch.dtype:
    if value is None:
        return default
    found = getattr(torch, str(value).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise ConfigError(
            f"BitsAndBytesConfig: {name}={value!r} is no type of torch. Use a torch.dtype or its "
            "name, such as 'bfloat16'."
        )
    return found
