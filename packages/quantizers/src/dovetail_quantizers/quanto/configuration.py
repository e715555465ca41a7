"""The settings of Quanto."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dovetail.errors import ConfigError
from dovetail.quantizers import QuantizationConfigMixin

WEIGHTS = ("float8", "int8", "int4", "int2")
ACTIVATIONS = (None, "int8", "float8")


@dataclass
class QuantoConfig(QuantizationConfigMixin):
    """`weights` in float8, int8, int4 or int2; `activations` as they are, or in int8 or float8.

    Ranges of activations come from calibration: give `dataset`, texts or lists of token ids (and
    `tokenizer` for texts).

    Raises:
        ConfigError: a setting cannot be.
    """

    weights: str = "int8"
    activations: str | None = None
    modules_to_not_convert: list[str] | None = None
    dataset: list[Any] | None = None
    tokenizer: Any = None
    quant_method: str = "quanto"

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise ConfigError(
                f"QuantoConfig: weights={self.weights!r} is not one of {', '.join(WEIGHTS)}."
            )
        if self.activations not in ACTIVATIONS:
            raise ConfigError(
                f"QuantoConfig: activations={self.activations!r} is not None, 'int8' or 'float8'."
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings that a checkpoint keeps: all but texts and tokenizer."""
        kept = super().to_dict()
        return {name: v for name, v in kept.items() if name not in ("dataset", "tokenizer")}
