"""The settings of compressed-tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import ConfigError
from dovetail.quantizers import QuantizationConfigMixin

DENSE = ("dense", "fakequant")
PLAIN = ("int-quantized", "float-quantized", "naive-quantized")
PACKED = "pack-quantized"
MIXED = "mixed-precision"
FORMATS = (*DENSE, *PLAIN, PACKED, MIXED)
STRATEGIES = ("tensor", "channel", "group", "block")

INT8 = {"num_bits": 8, "strategy": "channel"}
FLOAT8 = {"num_bits": 8, "type": "float"}
PRESETS: dict[str, dict[str, Any]] = {
    "W8A16": INT8,
    "W4A16": {"num_bits": 4, "strategy": "group", "group_size": 128},
    "W4A16_ASYM": {"num_bits": 4, "strategy": "group", "group_size": 128, "symmetric": False},
    "W8A8": INT8,
    "INT8": INT8,
    "W4A8": {"num_bits": 4, "strategy": "group", "group_size": 128},
    "FP8": FLOAT8 | {"strategy": "tensor"},
    "FP8_DYNAMIC": FLOAT8 | {"strategy": "channel"},
    "FP8_BLOCK": FLOAT8 | {"strategy": "block", "block_structure": [128, 128]},
}
"""What the names stand for that may take the place of a group's settings."""


@dataclass(frozen=True)
class WeightSettings:
    """How one group's weights are rounded, and in which format they are stored.

    `strategy` says what shares a scale: the tensor, an output channel, `group_size` columns, or a
    block of `block_structure` rows by columns.
    """

    group: str
    format: str
    num_bits: int = 8
    type: str = "int"
    symmetric: bool = True
    strategy: str | None = None
    group_size: int | None = None
    block_structure: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self._check(self.type in ("int", "float"), "type", "'int' or 'float'")
        widths = range(1, 9) if self.type == "int" else (8,)
        what = "1 to 8" if self.type == "int" else "8 for floats"
        self._check(self.num_bits in widths, "num_bits", what)
        self._check(self.format in FORMATS and self.format != MIXED, "format", ", ".join(FORMATS))
        self._check(self.strategy in STRATEGIES, "strategy", ", ".join(STRATEGIES))
        if self.strategy == "group":
            fits = self.group_size is not None and self.group_size > 0
            self._check(fits, "group_size", "a positive number")
        if self.strategy == "block":
            sizes = self.block_structure or ()
            fits = len(sizes) == 2 and all(isinstance(size, int) and size > 0 for size in sizes)
            self._check(fits, "block_structure", "two positive numbers, rows and columns")
        if self.type == "float":
            self._check(self.symmetric, "symmetric", "true for floats")
        if self.format == PACKED:
            self._check(self.type == "int", "type", "'int' for pack-quantized")
            self._check(self.strategy != "block", "strategy", "no block for pack-quantized")

    def _check(self, holds: bool, setting: str, allowed: str) -> None:
        if not holds:
            raise ConfigError(
                f"CompressedTensorsConfig: {setting}={getattr(self, setting)!r} of the weights in "
                f"config_groups[{self.group!r}] cannot be: it must be {allowed}."
            )

    @property
    def reach(self) -> tuple[float, float]:
        """The least and the greatest code."""
        if self.type == "float":
            return -448.0, 448.0
        return -(2.0 ** (self.num_bits - 1)), 2.0 ** (self.num_bits - 1) - 1


@dataclass
class CompressedTensorsConfig(QuantizationConfigMixin):
    """Groups of layers, each with the width, type and sharing of scales of its own.

    `config_groups` maps names to ``{"targets": [...], "weights": {...}}`` and more settings;
    targets, like those of `ignore`, are paths of layers, regular expressions after ``re:``, or
    names of classes, of which projections have ``Linear``. In place of a group's settings a list of
    targets may be given if its name is a preset such as ``"W4A16"``. `format` is how weights are
    stored; a group's own ``format`` precedes. `sparsity_config` is kept; weights that are stored
    without their zeros are refused. `run_compressed` False loads ordinary weights.

    Settings of activations and `kv_cache_scheme` are kept, and so are their scales in checkpoints;
    activations and caches keep their precision here, but for the bytes of the int8 kernel.

    Raises:
        ConfigError: a setting cannot be.
    """

    config_groups: dict[str, Any] | None = None
    format: str = "dense"
    quantization_status: str = "initialized"
    kv_cache_scheme: dict[str, Any] | None = None
    global_compression_ratio: float | None = None
    ignore: list[str] | None = None
    sparsity_config: dict[str, Any] | None = None
    quant_method: str = field(default="compressed-tensors", kw_only=True)
    run_compressed: bool = True
    version: str | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(
                f"CompressedTensorsConfig: format={self.format!r} is not read here. Formats are "
                f"{', '.join(FORMATS)}; layouts for one graphics card's kernels and 4-bit floats "
                "are not among them: fetch the model in another format."
            )
        groups = self.config_groups or {}
        self._groups = [self._group(name, values) for name, values in groups.items()]
        sparsity = (self.sparsity_config or {}).get("format") or "dense"
        if sparsity not in DENSE:
            raise ConfigError(
                f"CompressedTensorsConfig: format={sparsity!r} of sparsity_config is not read "
                "here: weights must be stored with their zeros. Fetch the model in such a format."
            )

    def weights_of(self, name: str, kind: str) -> WeightSettings | None:
        """How the layer with the path `name` and the class `kind` is stored, None if ordinarily.

        Of several groups one that names the layer comes before one that names its class.
        """
        if _rank(name, kind, self.ignore or ()) is not None:
            return None
        ranks = [_rank(name, kind, targets) for targets, _ in self._groups]
        fitting = [(rank, place) for place, rank in enumerate(ranks) if rank is not None]
        return self._groups[min(fitting)[1]][1] if fitting else None

    def _group(self, name: str, values: Any) -> tuple[list[str], WeightSettings | None]:
        if isinstance(values, Sequence) and name in PRESETS:
            values = {"targets": values, "weights": PRESETS[name]}
        if not isinstance(values, Mapping) or not isinstance(values.get("targets"), Sequence):
            raise ConfigError(
                f"CompressedTensorsConfig: config_groups[{name!r}] must have 'targets' and "
                f"'weights', or be a list of targets and be named {', '.join(PRESETS)}. "
                "Correct quantization_config in config.json."
            )
        targets, weights = list(values["targets"]), values.get("weights")
        for target in targets:
            _compiled(target)
        if weights is None:
            return targets, None
        own = values.get("format") or self.format
        return targets, _settings(name, own, weights)

    def to_dict(self) -> dict[str, Any]:
        """The settings as checkpoints hold them."""
        kept = super().to_dict()
        hidden = ("_groups", "run_compressed")
        return {name: value for name, value in kept.items() if name not in hidden}

    @classmethod
    def from_dict(
        cls, config_dict: Mapping[str, Any], return_unused_kwargs: bool = False, **kwargs: Any
    ) -> Any:
        """A config from a JSON object, also from one that nests the settings of quantization."""
        nested = config_dict.get("quantization_config")
        if isinstance(nested, Mapping):
            outer = {key: config_dict[key] for key in config_dict if key != "quantization_config"}
            config_dict = {**nested, **outer}
        return super().from_dict(config_dict, return_unused_kwargs, **kwargs)

    @staticmethod
    def loading_attributes() -> tuple[str, ...]:
        """Names of the settings that a caller may change for a checkpoint."""
        return ("run_compressed",)


def _settings(group: str, stored: str, weights: Mapping[str, Any]) -> WeightSettings:
    size, block = weights.get("group_size"), weights.get("block_structure")
    strategy = weights.get("strategy")
    if strategy is None:
        strategy = "tensor" if size is None else "channel" if size == -1 else "group"
    if isinstance(block, str):
        block = [int(number) for number in re.findall(r"\d+", block)]
    return WeightSettings(
        group,
        stored,
        weights.get("num_bits", 8),
        str(weights.get("type", "int")).lower(),
        weights.get("symmetric", True),
        str(strategy).lower(),
        size,
        None if block is None else tuple(block),
    )


def _rank(name: str, kind: str, targets: Sequence[str]) -> int | None:
    """How precisely `targets` name a layer: 0 by its path, 1 by a pattern, 2 by its class."""
    ranks = [
        0 if target == name else 1 if _matches(target, name) else 2
        for target in targets
        if target in (name, kind) or _matches(target, name)
    ]
    return min(ranks, default=None)


def _matches(target: str, name: str) -> bool:
    pattern = _compiled(target)
    return pattern is not None and pattern.match(name) is not None


def _compiled(target: str) -> re.Pattern[str] | None:
    if not target.startswith("re:"):
        return None
    try:
        return re.compile(target.removeprefix("re:"))
    except re.error as error:
        raise ConfigError(
            f"CompressedTensorsConfig: the target {target!r} is no regular expression ({error}). "
            "Correct quantization_config in config.json."
        ) from error
