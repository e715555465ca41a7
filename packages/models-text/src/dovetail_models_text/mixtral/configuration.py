"""Configuration of Mixtral."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import NonNegativeFloat, PositiveFloat, Probability, Size, TokenIds
from dovetail.errors import ConfigError
from dovetail_models_text.llama.configuration import DecoderConfig


class MixtralConfig(DecoderConfig):
    """Sizes and constants of a Mixtral model; the defaults are those of Mixtral 8x7B.

    Each token goes to `num_experts_per_tok` of `num_local_experts` experts. In training
    `router_jitter_noise` spreads what the experts read, and `router_aux_loss_coef` weighs the loss
    that balances them, which is computed with `output_router_logits`.
    """

    model_type: ClassVar[str] = "mixtral"

    intermediate_size: Size = 14336
    num_key_value_heads: Size | None = 8
    hidden_act: str = "silu"
    max_position_embeddings: Size = 4096 * 32
    initializer_range: NonNegativeFloat = 0.02
    rms_norm_eps: PositiveFloat = 1e-5
    use_cache: bool = True
    pad_token_id: TokenIds = None
    bos_token_id: TokenIds = 1
    eos_token_id: TokenIds = 2
    tie_word_embeddings: bool = False
    rope_theta: PositiveFloat = 1e6
    sliding_window: Size | None = None
    attention_dropout: Probability = 0.0
    num_experts_per_tok: Size = 2
    num_local_experts: Size = 8
    output_router_logits: bool = False
    router_aux_loss_coef: NonNegativeFloat = 0.001
    router_jitter_noise: NonNegativeFloat = 0.0

    def check(self) -> None:
        """Refuse more experts per token than there are."""
        super().check()
        if self.num_experts_per_tok > self.num_local_experts:
            raise ConfigError(
                f"num_experts_per_tok={self.num_experts_per_tok} exceeds "
                f"num_local_experts={self.num_local_experts}."
            )

    @property
    def layer_windows(self) -> list[int | None]:
        """The window of each layer: the same in all."""
        return [self.sliding_window] * self.num_hidden_layers
