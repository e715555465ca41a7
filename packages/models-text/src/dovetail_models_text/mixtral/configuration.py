"""Configuration of Mixtral."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import NonNegativeFloat, PositiveFloat, Size
from dovetail.errors import ConfigError
from dovetail_models_text.mistral.configuration import MistralConfig


class MixtralConfig(MistralConfig):
    """Sizes and constants of a Mixtral model; the defaults are those of Mixtral 8x7B.

    Each token goes to `num_experts_per_tok` of `num_local_experts` experts. In training
    `router_jitter_noise` spreads what the experts read, and `router_aux_loss_coef` weighs the loss
    that balances them, which is computed with `output_router_logits`.
    """

    model_type: ClassVar[str] = "mixtral"
    argument_moves: ClassVar[dict[str, str | None]] = {"head_dim": None}

    rms_norm_eps: PositiveFloat = 1e-5
    rope_theta: PositiveFloat = 1e6
    sliding_window: Size | None = None
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
