"""How a model is given the layers of HQQ."""

from __future__ import annotations

from typing import Any

from torch import nn

from dovetail_quantizers.hqq.layers import HQQLinear
from dovetail_quantizers.layers import PackedLinear
from dovetail_quantizers.method import PackedQuantizer


class HqqHfQuantizer(PackedQuantizer):
    """See `HqqConfig`."""

    def skipped(self, model: nn.Module) -> list[str]:
        """What the config names."""
        config: Any = self.quantization_config
        return list(config.skip_modules)

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear | None:
        """A layer of groups with the settings for its name."""
        config: Any = self.quantization_config
        settings = config.settings_of(name)
        return None if settings is None else HQQLinear(linear, name, settings)
