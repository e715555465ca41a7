"""Configuration of RecurrentGemma."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from dovetail.config_fields import (
    Fraction,
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class RecurrentGemmaConfig(PretrainedConfig):
    """Sizes and constants of a RecurrentGemma model; the defaults are those of the 2B.

    `block_types` are repeated over the layers: a ``recurrent`` one has a state of `lru_width`
    channels (by default `hidden_size`), an ``attention`` one sees the last `attention_window_size`
    positions. Half of `intermediate_size` is the width of the MLP. Next-token logits are bounded by
    `logits_soft_cap`.
    """

    model_type: ClassVar[str] = "recurrent_gemma"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    qkv_bias: ClassVar[bool] = False

    num_hidden_layers: LayerCount = 26
    vocab_size: Size = 256000
    hidden_size: Size = 2560
    intermediate_size: Size = 3 * 2560
    num_attention_heads: Size = 10
    lru_width: Size | None = None
    attention_window_size: Size = 2048
    conv1d_width: Size = 4
    logits_soft_cap: PositiveFloat = 30.0
    rms_norm_eps: PositiveFloat = 1e-6
    use_cache: bool = True
    pad_token_id: TokenIds = 0
    eos_token_id: TokenIds = 1
    bos_token_id: TokenIds = 2
    hidden_activation: str = "gelu_pytorch_tanh"
    partial_rotary_factor: Fraction = 0.5
    rope_theta: PositiveFloat = 10000.0
    block_types: list[Literal["recurrent", "attention"]] = [  # noqa: RUF012 - a field
        "recurrent",
        "recurrent",
        "attention",
    ]
    attention_dropout: Probability = 0.0
    num_key_value_heads: Size | None = None
    attention_bias: bool = False
    w_init_variance_scale: NonNegativeFloat = 0.01

    def derive(self) -> None:
        """Widths that follow from others, and how small residual branches begin."""
        self.lru_width = self.lru_width or self.hidden_size
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        self.head_dim = self.hidden_size // self.num_attention_heads
        self.final_w_init_variance_scale = 2.0 / max(self.num_hidden_layers, 1)

    def check(self) -> None:
        """Refuse head counts that do not divide, and a pattern of no blocks."""
        heads = self.num_attention_heads
        if heads % self.num_key_value_heads:  # type: ignore[operator] # derived
            raise ConfigError(
                f"num_key_value_heads={self.num_key_value_heads} does not divide "
                f"num_attention_heads={heads}."
            )
        if self.lru_width % heads:  # type: ignore[operator] # derived
            raise ConfigError(
                f"num_attention_heads={heads} does not divide lru_width={self.lru_width}: gates "
                "are as many blocks as there are heads."
            )
        if not self.block_types:
            raise ConfigError(
                "block_types is empty: name the blocks that layers repeat, 'recurrent' or "
                "'attention'."
            )

    @property
    def layers_block_type(self) -> list[str]:
        """The kind of each layer."""
        kinds = self.block_types
        return [kinds[index % len(kinds)] for index in range(self.num_hidden_layers)]

    @property
    def layer_windows(self) -> list[int | None]:
        """How far each layer sees: recurrent ones have states."""
        window = self.attention_window_size
        return [window if kind == "attention" else 0 for kind in self.layers_block_type]

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """What a recurrent layer remembers of each text."""
        width: Any = self.lru_width
        return {"window": (width, self.conv1d_width), "recurrence": (width,)}
