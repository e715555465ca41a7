"""The settings of AWQ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dovetail.errors import ConfigError
from dovetail.quantizers import QuantizationConfigMixin

VERSIONS = ("gemm", "gemv", "exllama", "ipex")


@dataclass
class AwqConfig(QuantizationConfigMixin):
    """Groups of 4-bit codes with zeros, scaled beforehand so that important columns keep precision.

    `version` is the layout of the tensors: ``"gemm"`` (also ``"exllama"`` and ``"ipex"``, which
    differ only in memory) or ``"gemv"``. Settings of fused modules and of kernels for graphics
    cards (`do_fuse`, `modules_to_fuse`, `fuse_max_seq_len`, `backend`, `exllama_config`) are kept;
    fusing has no effect here and is warned about.

    Raises:
        ConfigError: a setting cannot be.
    """

    bits: int = 4
    group_size: int = 128
    zero_point: bool = True
    version: str = "gemm"
    backend: str = "autoawq"
    do_fuse: bool | None = None
    fuse_max_seq_len: int | None = None
    modules_to_fuse: dict[str, Any] | None = None
    modules_to_not_convert: list[str] | None = None
    exllama_config: dict[str, Any] | None = None
    quant_method: str = "awq"

    def __post_init__(self) -> None:
        self.version = str(self.version).lower()
        if self.bits != 4:
            raise ConfigError(f"AwqConfig: bits={self.bits!r}: the format has 4 bits and no other.")
        if self.version not in VERSIONS:
            raise ConfigError(
                f"AwqConfig: version={self.version!r} is not one of {', '.join(VERSIONS)}. "
                "Choose the layout in which the checkpoint was written."
            )
        if self.group_size != -1 and self.group_size <= 0:
            raise ConfigError(
                f"AwqConfig: group_size={self.group_size!r} must be positive, or -1 for whole rows."
            )

    def get_loading_attributes(self) -> dict[str, Any]:
        """The settings that a caller may change for a checkpoint."""
        return {name: getattr(self, name) for name in self.loading_attributes()}

    @staticmethod
    def loading_attributes() -> tuple[str, ...]:
        """Names of the settings that a caller may change for a checkpoint."""
        return ("version", "do_fuse", "modules_to_fuse", "fuse_max_seq_len", "exllama_config")
