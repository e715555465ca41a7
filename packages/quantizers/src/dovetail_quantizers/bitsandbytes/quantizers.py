"""How a model is given the layers of bitsandbytes."""

from __future__ import annotations

from typing import Any

from torch import nn

from dovetail.quantizers import get_keys_to_not_convert
from dovetail_quantizers.bitsandbytes.layers import Linear4bit, Linear8bitLt
from dovetail_quantizers.layers import PackedLinear
from dovetail_quantizers.method import PackedQuantizer


class Bnb8BitHfQuantizer(PackedQuantizer):
    """LLM.int8: see `BitsAndBytesConfig`."""

    use_keep_in_fp32_modules = True

    def skipped(self, model: nn.Module) -> list[str]:
        """What the config names, else the output layer and what is tied to it."""
        config: Any = self.quantization_config
        named = config.llm_int8_skip_modules
        return list(get_keys_to_not_convert(model) if named is None else named)

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear:
        """A layer of bytes."""
        config: Any = self.quantization_config
        return Linear8bitLt(linear, config)


class Bnb4BitHfQuantizer(Bnb8BitHfQuantizer):
    """FP4 and NF4: see `BitsAndBytesConfig`."""

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear:
        """A layer of half bytes."""
        config: Any = self.quantization_config
        return Linear4bit(linear, config)
