"""Swin as the ``timm`` package has it: other tensor names, and windows rolled before filling up.

A checkpoint that was trained on a network of timm holds it under timm's names: queries, keys and
values in one tensor, and each merging of patches in the stage that it leads to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dovetail.converting import Renames
from dovetail.errors import ConfigError
from dovetail.mapping import Step, Tensors, to_checkpoint, to_model
from dovetail_models_vision.swin.configuration import SwinConfig
from dovetail_models_vision.swin.conversion import SPLITS, swin_names
from dovetail_models_vision.swin.modeling import SwinBackbone, SwinSelfAttention
from dovetail_models_vision.swin.windows import Windows

NAME = re.compile(
    r"swin_(?P<size>tiny|small|base|large)_patch(?P<patch>\d+)_window(?P<window>\d+)_(?P<image>\d+)"
    r"(\.\w+)?"
)
"""What timm calls the networks; after a point follows what they were trained on."""
NETWORKS: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]},
    "small": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24]},
    "base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32]},
    "large": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48]},
}
SIZES = ("embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "drop_path_rate")
"""What may be set otherwise than in the network that was named, and is called the same here."""
OPTIONS = ("out_indices", "img_size", "always_partition", *SIZES)


def timm_swin_config(name: str, options: Mapping[str, Any]) -> SwinConfig | None:
    """The config of the network that timm makes of `name` and `options`; None if it is no Swin.

    Raises:
        ConfigError: an option is not supported.
    """
    found = NAME.fullmatch(name)
    if found is None:
        return None
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise ConfigError(
            f"config.backbone_kwargs has {unknown}, which the Swin {name!r} does not take here: "
            f"leave them out. Known are {list(OPTIONS)}."
        )
    if not options.get("always_partition"):
        raise ConfigError(
            f"config.backbone_kwargs={dict(options)} lets the windows of the Swin {name!r} grow "
            "and shrink with the picture: set always_partition=True."
        )
    sizes = {
        "patch_size": int(found["patch"]),
        "window_size": int(found["window"]),
        "image_size": options.get("img_size", int(found["image"])),
        **NETWORKS[found["size"]],
        **{key: options[key] for key in SIZES if key in options},
    }
    stages = options.get("out_indices", range(len(sizes["depths"])))
    return SwinConfig(**sizes, out_indices=[stage + 1 for stage in stages])


class RolledWindows(Windows):
    """Windows of a map that is rolled first and filled up then."""

    @property
    def unrolled(self) -> Windows:
        """The same without a shift."""
        return Windows(self.rows, self.columns, self.size, 0)

    def cut(self, maps: Tensor) -> Tensor:
        """Windows (B * windows, T, D), row by row, of `maps` (B, H, W, D)."""
        return self.unrolled.cut(maps.roll((-self.shift, -self.shift), (1, 2)))

    def join(self, windows: Tensor) -> Tensor:
        """The maps (B, H, W, D) of `windows` (B * windows, T, D)."""
        return self.unrolled.join(windows).roll((self.shift, self.shift), (1, 2))


class TimmSwin(SwinBackbone):
    """The maps of chosen stages, without norms; checkpoints lack the distances of patches."""

    windows = RolledWindows

    def __init__(self, config: SwinConfig) -> None:
        super().__init__(config)
        del self.hidden_states_norms
        for module in self.modules():
            if isinstance(module, SwinSelfAttention):
                index = module.get_buffer("relative_position_index")
                module.register_buffer("relative_position_index", index, persistent=False)

    def feature_map(self, name: str, states: Tensor) -> Tensor:
        """`states` (B, H, W, D) as (B, D, H, W)."""
        return states.permute(0, 3, 1, 2)


def _names(count: int = 4) -> dict[str, str]:
    """Timm's names of a feature extractor and ours."""
    names = {
        old.replace("layers.", "layers_"): new
        for old, new in swin_names("", "").items()
        if "downsample" not in old
    }
    for stage in range(1, count):
        old, new = f"layers_{stage}.downsample", f"encoder.layers.{stage - 1}.downsample"
        names[f"{old}.*.*"] = f"{new}.*.*"
    return names


STEPS = (*SPLITS, Renames(_names()))


@dataclass(frozen=True)
class TimmSwinNames(Step):
    """A `TimmSwin` under `prefix` has timm's names on disk where `applies` to the config."""

    prefix: str
    applies: Callable[[Any], bool]

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Give it ours."""
        return self._changed(tensors, config, to_model, (f"{self.prefix}_backbone.", self.prefix))

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Give it timm's."""
        prefixes = (self.prefix, f"{self.prefix}_backbone.")
        return self._changed(tensors, config, to_checkpoint, prefixes)

    def _changed(
        self, tensors: Tensors, config: Any, change: Any, prefixes: tuple[str, str]
    ) -> Tensors:
        if not self.applies(config):
            return tensors
        old, new = prefixes
        inner = {key.removeprefix(old): tensors[key] for key in tensors if key.startswith(old)}
        rest = {key: tensors[key] for key in tensors if not key.startswith(old)}
        changed = change(inner, STEPS, config)
        return rest | {f"{new}{key}": tensor for key, tensor in changed.items()}
