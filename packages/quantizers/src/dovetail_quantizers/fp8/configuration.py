"""The settings of the 8-bit floats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import ConfigError
from dovetail.quantizers import QuantizationConfigMixin


@dataclass
class FbgemmFp8Config(QuantizationConfigMixin):
    """Rows of 8-bit floats with a scale each.

    `activation_scale_ub` bounds the magnitudes of activations on graphics cards, where these are
    rounded to 8 bits too; here they keep their precision.
    """

    activation_scale_ub: float = 1200.0
    modules_to_not_convert: list[str] | None = None
    quant_method: str = "fbgemm_fp8"

    def get_loading_attributes(self) -> dict[str, Any]:
        """The settings that a caller may change for a checkpoint."""
        return {name: getattr(self, name) for name in self.loading_attributes()}

    @staticmethod
    def loading_attributes() -> tuple[str, ...]:
        """Names of the settings that a caller may change for a checkpoint."""
        return ("activation_scale_ub",)


@dataclass
class FineGrainedFP8Config(QuantizationConfigMixin):
    """Blocks of 8-bit floats with a scale each, `weight_block_size` rows by columns.

    Raises:
        ConfigError: a setting cannot be.
    """

    activation_scheme: str = "dynamic"
    weight_block_size: list[int] = field(default_factory=lambda: [128, 128])
    modules_to_not_convert: list[str] | None = None
    quant_method: str = "fp8"

    def __post_init__(self) -> None:
        sizes = list(self.weight_block_size)
        if len(sizes) != 2 or any(not isinstance(size, int) or size <= 0 for size in sizes):
            raise ConfigError(
                f"FineGrainedFP8Config: weight_block_size={self.weight_block_size!r} must be two "
                "positive numbers, rows and columns."
            )
        if self.activation_scheme not in ("dynamic", "static"):
            raise ConfigError(
                f"FineGrainedFP8Config: activation_scheme={self.activation_scheme!r} must be "
                "'dynamic' or 'static'."
            )
