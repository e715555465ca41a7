"""Configuration of Jamba."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from dovetail.config_fields import (
    NonNegative,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail.errors import ConfigError
from dovetail_models_text.llama.configuration import DecoderConfig


class JambaConfig(DecoderConfig):
    """Sizes and constants of a Jamba model; the defaults are those of ``ai21labs/Jamba-v0.1``.

    Of every `attn_layer_period` layers the one at `attn_layer_offset` has attention, the others
    are Mamba's, whose sizes are `mamba_...`. Of every `expert_layer_period` layers the one at
    `expert_layer_offset` has experts: each token goes to `num_experts_per_tok` of `num_experts`.
    `use_mamba_kernels` is accepted: the recurrence is computed in one way. `sliding_window` is
    kept, but attention sees all of the text.
    """

    model_type: ClassVar[str] = "jamba"
    argument_moves: ClassVar[dict[str, str | None]] = {"tie_word_embeddings": "vocab_size"}

    vocab_size: Size = 65536
    tie_word_embeddings: bool = False
    intermediate_size: Size = 14336
    num_key_value_heads: Size | None = 8
    hidden_act: str = "silu"
    initializer_range: NonNegativeFloat = 0.02
    rms_norm_eps: PositiveFloat = 1e-6
    use_cache: bool = True
    num_logits_to_keep: NonNegative | None = 1
    output_router_logits: bool = False
    router_aux_loss_coef: NonNegativeFloat = 0.001
    pad_token_id: TokenIds = 0
    bos_token_id: TokenIds = 1
    eos_token_id: TokenIds = 2
    sliding_window: Size | None = None
    max_position_embeddings: Size = 262144
    attention_dropout: Probability = 0.0
    num_experts_per_tok: Size = 2
    num_experts: Size = 16
    expert_layer_period: Size = 2
    expert_layer_offset: NonNegative = 1
    attn_layer_period: Size = 8
    attn_layer_offset: NonNegative = 4
    use_mamba_kernels: bool = True
    mamba_d_state: Size = 16
    mamba_d_conv: Size = 4
    mamba_expand: Size = 2
    mamba_dt_rank: Size | Literal["auto"] = "auto"
    mamba_conv_bias: bool = True
    mamba_proj_bias: bool = False

    def derive(self) -> None:
        """Fill in what follows from other fields."""
        super().derive()
        if self.mamba_dt_rank == "auto":
            self.mamba_dt_rank = math.ceil(self.hidden_size / 16)

    def check(self) -> None:
        """Refuse more experts per token than there are."""
        super().check()
        if 1 < self.num_experts < self.num_experts_per_tok:
            raise ConfigError(
                f"num_experts_per_tok={self.num_experts_per_tok} exceeds "
                f"num_experts={self.num_experts}."
            )

    @property
    def layers_block_type(self) -> list[str]:
        """What stands in each layer: ``"attention"`` or ``"mamba"``."""
        return [
            "attention" if index % self.attn_layer_period == self.attn_layer_offset else "mamba"
            for index in range(self.num_hidden_layers)
        ]

    @property
    def layers_num_experts(self) -> list[int]:
        """How many experts each layer has."""
        return [
            self.num_experts if index % self.expert_layer_period == self.expert_layer_offset else 1
            for index in range(self.num_hidden_layers)
        ]

    @property
    def layer_windows(self) -> list[int | None]:
        """Attention sees all of the text, Mamba's layers none: they have states."""
        return [None if kind == "attention" else 0 for kind in self.layers_block_type]

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """What one of Mamba's layers remembers of each text."""
        channels = self.mamba_expand * self.hidden_size
        return {"conv": (channels, self.mamba_d_conv), "ssm": (channels, self.mamba_d_state)}
