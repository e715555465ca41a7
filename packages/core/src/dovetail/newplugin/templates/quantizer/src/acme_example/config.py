"""The settings of the method, kept in the checkpoint's ``config.json``."""

from __future__ import annotations

from dataclasses import dataclass, field

from dovetail.errors import ConfigError
from dovetail.quantizers import QuantizationConfigMixin


@dataclass
class AcmeExampleConfig(QuantizationConfigMixin):
    """`modules_to_not_convert` names modules that stay as they are, besides the output layer."""

    quant_method: str = "acme-example"
    modules_to_not_convert: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.modules_to_not_convert, list):
            raise ConfigError(
                f"modules_to_not_convert={self.modules_to_not_convert!r} must be a list of names."
            )
