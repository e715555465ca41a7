"""The config of a vision-language model: two parts, each of any architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from dovetail.configs import PretrainedConfig

CLIP_LARGE: Mapping[str, Any] = {
    "model_type": "clip_vision_model",
    "intermediate_size": 4096,
    "hidden_size": 1024,
    "patch_size": 14,
    "image_size": 336,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "vocab_size": 32000,
    "projection_dim": 768,
}
"""The vision part of LLaVA and its relatives where a file has none."""


class VisionLanguageConfig(PretrainedConfig):
    """Base; a subclass declares `text_config` and `vision_config` as its first fields (or others,
    and names them in `sub_configs`).

    `part_defaults` are the values of a part that is not given; one that is given without a
    ``model_type`` is of the default's.
    """

    is_composition: ClassVar[bool] = True
    sub_configs: ClassVar[dict[str, Any]] = {"text_config": "auto", "vision_config": "auto"}
    part_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "text_config": {"model_type": "llama"},
        "vision_config": CLIP_LARGE,
    }

    def _set_sub_configs(self, values: dict[str, Any]) -> None:
        for name, default in self.part_defaults.items():
            given = values.get(name)
            if given is None:
                values[name] = dict(default)
            elif isinstance(given, Mapping) and "model_type" not in given:
                values[name] = {**given, "model_type": default["model_type"]}
        super()._set_sub_configs(values)
