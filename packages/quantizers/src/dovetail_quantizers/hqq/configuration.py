"""The settings of HQQ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dovetail.errors import ConfigError
from dovetail.quantizers import QuantizationConfigMixin

WIDTHS = (1, 2, 3, 4, 8)


@dataclass(frozen=True)
class LayerSettings:
    """How one layer is packed; `group_size` None stands for whole rows or columns."""

    nbits: int = 4
    group_size: int | None = 64
    axis: int = 1

    def __post_init__(self) -> None:
        if self.nbits not in WIDTHS:
            raise ConfigError(f"HqqConfig: nbits={self.nbits!r} must be 1, 2, 3, 4 or 8.")
        if self.axis not in (0, 1):
            raise ConfigError(f"HqqConfig: axis={self.axis!r} must be 0 or 1.")
        if self.group_size is not None and (self.group_size < 8 or self.group_size % 8):
            raise ConfigError(
                f"HqqConfig: group_size={self.group_size!r} must be a multiple of 8, or None."
            )


@dataclass
class HqqConfig(QuantizationConfigMixin):
    """Groups of codes whose zeros are chosen so that few weights err much; needs no data.

    `nbits` are 1, 2, 3, 4 or 8; `group_size` weights share scale and zero, along the rows (`axis`
    1) or columns (0). `dynamic_config` gives layers, by the end of their path, settings of their
    own; others are left as they are then. `skip_modules` are left as they are.

    `quant_config` is what checkpoints hold in place of the first settings. `view_as_float`, a
    matter of storage for sharding, is not supported in checkpoints.

    Raises:
        ConfigError: a setting cannot be.
    """

    nbits: int = 4
    group_size: int | None = 64
    view_as_float: bool = False
    axis: int | None = None
    dynamic_config: dict[str, Any] | None = None
    skip_modules: list[str] | None = None
    quant_config: dict[str, Any] | None = None
    quant_method: str = "hqq"

    def __post_init__(self) -> None:
        if self.axis is None:
            self.axis = 1
        if self.view_as_float:
            raise ConfigError("HqqConfig: view_as_float=True is not supported: leave it out.")
        if self.skip_modules is None:
            self.skip_modules = ["lm_head"]
        plain = LayerSettings(self.nbits, self.group_size, self.axis)
        own = {name: _settings(values) for name, values in (self.dynamic_config or {}).items()}
        if self.quant_config is not None:
            own = {
                name: _settings(values)
                for name, values in self.quant_config.items()
                if name != "weight_quant_params"
                and isinstance(values, Mapping)
                and "weight_quant_params" in values
            }
            if not own:
                plain = _settings(self.quant_config)
        self._plain, self._own = plain, own

    def settings_of(self, name: str) -> LayerSettings | None:
        """The settings of the layer with the path `name`, None if it stays as it is."""
        if not self._own:
            return self._plain
        found = (own for end, own in self._own.items() if f".{name}".endswith(f".{end}"))
        return next(found, None)

    def to_dict(self) -> dict[str, Any]:
        """The settings as the format's checkpoints hold them."""
        whole = {name: _written(own) for name, own in self._own.items()}
        return {
            "quant_config": whole or _written(self._plain),
            "quant_method": self.quant_method,
            "skip_modules": self.skip_modules,
        }

    def to_diff_dict(self) -> dict[str, Any]:
        """`to_dict`: there are no defaults to leave out."""
        return self.to_dict()


def _settings(values: Mapping[str, Any]) -> LayerSettings:
    inner = values.get("weight_quant_params", values)
    names = ("nbits", "group_size", "axis")
    return LayerSettings(**{name: inner[name] for name in names if name in inner})


def _written(settings: LayerSettings) -> dict[str, Any]:
    return {
        "offload_meta": False,
        "scale_quant_params": None,
        "weight_quant_params": {
            "axis": settings.axis,
            "channel_wise": True,
            "group_size": settings.group_size,
            "nbits": settings.nbits,
            "optimize": True,
            "round_zero": settings.nbits == 4,
            "view_as_float": False,
        },
        "zero_quant_params": None,
    }
