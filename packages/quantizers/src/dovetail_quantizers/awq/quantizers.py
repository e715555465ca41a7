"""How a model is given the layers of AWQ."""

from __future__ import annotations

from typing import Any

from torch import nn

from dovetail.logging import get_logger
from dovetail_quantizers.awq.layers import WQLinear_GEMM, WQLinear_GEMV
from dovetail_quantizers.layers import PackedLinear
from dovetail_quantizers.method import PackedQuantizer

logger = get_logger(__name__)


class AwqQuantizer(PackedQuantizer):
    """See `AwqConfig`."""

    requires_calibration = True

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear:
        """A layer of groups in the config's layout."""
        config: Any = self.quantization_config
        layout = WQLinear_GEMV if config.version == "gemv" else WQLinear_GEMM
        return layout(linear, name, config)

    def validate_environment(self, **kwargs: Any) -> None:
        """Say what has no effect."""
        super().validate_environment(**kwargs)
        config: Any = self.quantization_config
        if config.do_fuse or config.modules_to_fuse:
            logger.warning(
                "AwqConfig: do_fuse and modules_to_fuse have no effect: fused modules are kernels "
                "for graphics cards. The model computes the same without them."
            )
