"""Configuration of Qwen2-VL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from dovetail.config_fields import NonNegative, PositiveFloat, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError
from dovetail_models_text.qwen2.configuration import Qwen2Config


class Qwen2VLVisionConfig(PretrainedConfig):
    """Sizes of the vision tower: `embed_dim` within, `hidden_size` where it leaves.

    A patch is `temporal_patch_size` frames of `patch_size` squared pixels; squares of
    `spatial_merge_size` patches become one token.
    """

    model_type: ClassVar[str] = "qwen2_vl"
    base_config_key: ClassVar[str] = "vision_config"

    depth: Size = 32
    embed_dim: Size = 1280
    hidden_size: Size = 3584
    hidden_act: str = "quick_gelu"
    mlp_ratio: PositiveFloat = 4
    num_heads: Size = 16
    in_channels: Size = 3
    patch_size: Size = 14
    spatial_merge_size: Size = 2
    temporal_patch_size: Size = 2

    def check(self) -> None:
        """Refuse heads that cannot be rotated by rows and columns."""
        if self.embed_dim % (4 * self.num_heads):
            raise ConfigError(
                f"embed_dim={self.embed_dim} over num_heads={self.num_heads} must be a multiple of "
                "4 for each head: pairs of channels for rows and for columns."
            )


class Qwen2VLConfig(Qwen2Config):
    """Qwen 2's, with the vision tower's sizes in `vision_config`.

    ``rope_scaling["mrope_section"]`` says how many pairs of channels turn by time, by height and by
    width. `image_token_id` and `video_token_id` are what pictures take the place of.
    """

    model_type: ClassVar[str] = "qwen2_vl"
    sub_configs: ClassVar[dict[str, Any]] = {"vision_config": Qwen2VLVisionConfig}
    argument_moves: ClassVar[dict[str, str | None]] = {"rope_scaling": "vision_config"}

    image_token_id: ClassVar[int] = 151655
    video_token_id: ClassVar[int] = 151656
    vision_start_token_id: ClassVar[int] = 151652
    vision_end_token_id: ClassVar[int] = 151653

    vocab_size: Size = 152064
    hidden_size: Size = 8192
    intermediate_size: Size = 29568
    num_hidden_layers: Size = 80
    num_attention_heads: Size = 64
    num_key_value_heads: Size | None = 8
    rms_norm_eps: PositiveFloat = 1e-5
    rope_theta: PositiveFloat = 1000000.0
    max_window_layers: NonNegative = 80
    vision_config: Any = None

    def _set_sub_configs(self, values: dict[str, Any]) -> None:
        text = values.pop("text_config", None)  # 5.x's files keep the language model's apart
        if isinstance(text, Mapping):
            values |= {name: value for name, value in text.items() if name != "model_type"}
        super()._set_sub_configs(values)

    def derive(self) -> None:
        """Fill in what follows from other fields."""
        window = self.sliding_window
        super().derive()
        self.sliding_window = window  # which is kept in files also where it is not used
        if self.rope_scaling and self.rope_scaling.get("type") == "mrope":
            self.rope_scaling = {**self.rope_scaling, "type": "default", "rope_type": "default"}

    def is_local(self, layer_idx: int) -> bool:
        """Whether the layer has the window: from `max_window_layers` on, if it is used."""
        return self.use_sliding_window and super().is_local(layer_idx)

    def check(self) -> None:
        """Refuse sections that do not make up a head."""
        super().check()
        sections = (self.rope_scaling or {}).get("mrope_section")
        pairs = self.head_dim // 2  # type: ignore[operator]
        if sections is not None and sum(sections) != pairs:
            raise ConfigError(
                f"rope_scaling['mrope_section']={sections} makes {sum(sections)} pairs of "
                f"channels, and a head of {self.head_dim} has {pairs}."
            )
