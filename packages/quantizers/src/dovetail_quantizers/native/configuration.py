"""The settings of Dovetail's own methods."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.errors import ConfigError
from dovetail.quantizers import QuantizationConfigMixin
from dovetail_quantizers.kernels.tinygemm import GROUPS


@dataclass
class Int8Config(QuantizationConfigMixin):
    """Bytes with one scale per row; activations become bytes while multiplying.

    `embeddings` and `head` say whether the input embedding and the output layer are packed too.
    `modules_to_not_convert` are paths, or parts of paths, of modules that stay as they are.
    """

    quant_method: str = "int8"
    modules_to_not_convert: list[str] | None = None
    embeddings: bool = True
    head: bool = True


@dataclass
class Int4Config(QuantizationConfigMixin):
    """Half bytes, each `group_size` of them in a row with a scale and an offset.

    The embedding is packed to bytes; `head` is what the output layer gets: 4 bits, bytes as the
    rest of `Int8Config`, or nothing.

    Raises:
        ConfigError: no kernel knows the group size.
    """

    quant_method: str = "int4"
    group_size: int = 64
    modules_to_not_convert: list[str] | None = None
    embeddings: bool = True
    head: bool = True

    def __post_init__(self) -> None:
        if self.group_size not in GROUPS:
            raise ConfigError(
                f"Int4Config: group_size={self.group_size!r} is not one of "
                f"{', '.join(map(str, GROUPS))}. Choose one of them; 64 is the default."
            )


@dataclass
class HalfConfig(QuantizationConfigMixin):
    """Weights that fit 16 bits without loss stay in 16 bits; the arithmetic stays float32.

    Nothing is rounded: checkpoints that were stored in 16 bits decode about twice as fast and take
    half the memory, others are left as they are.
    """

    quant_method: str = "half"
    modules_to_not_convert: list[str] | None = None
    embeddings: bool = True
    head: bool = True
