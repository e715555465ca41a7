"""How a model is given the layers of 8-bit floats."""

from __future__ import annotations

from typing import Any

from torch import nn

from dovetail_quantizers.fp8.layers import FbgemmFp8Linear, FP8Linear
from dovetail_quantizers.layers import PackedLinear
from dovetail_quantizers.method import PackedQuantizer


class FbgemmFp8HfQuantizer(PackedQuantizer):
    """See `FbgemmFp8Config`."""

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear:
        """A layer of rows."""
        config: Any = self.quantization_config
        return FbgemmFp8Linear(linear, config)


class FineGrainedFP8HfQuantizer(PackedQuantizer):
    """See `FineGrainedFP8Config`."""

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear:
        """A layer of blocks."""
        config: Any = self.quantization_config
        return FP8Linear(linear, config)
