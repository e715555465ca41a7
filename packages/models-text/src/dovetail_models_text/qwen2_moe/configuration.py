"""Configuration of Qwen 2 with experts."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegative, NonNegativeFloat, Size
from dovetail.errors import ConfigError
from dovetail_models_text.qwen2.configuration import Qwen2Config


class Qwen2MoeConfig(Qwen2Config):
    """Sizes and constants of a Qwen 2 model with experts; the defaults are those of
    Qwen1.5-MoE-A2.7B.

    Every `decoder_sparse_step`-th layer that `mlp_only_layers` does not list has experts: each
    token goes to `num_experts_per_tok` of `num_experts`, of width `moe_intermediate_size`, and to
    one that all share. With `norm_topk_prob` the weights of the chosen ones sum to one.
    """

    model_type: ClassVar[str] = "qwen2_moe"

    hidden_size: Size = 2048
    intermediate_size: Size = 5632
    num_hidden_layers: LayerCount = 24
    num_attention_heads: Size = 16
    num_key_value_heads: Size | None = 16
    decoder_sparse_step: Size = 1
    moe_intermediate_size: Size = 1408
    shared_expert_intermediate_size: Size = 5632
    num_experts_per_tok: Size = 4
    num_experts: NonNegative = 60
    norm_topk_prob: bool = False
    output_router_logits: bool = False
    router_aux_loss_coef: NonNegativeFloat = 0.001
    mlp_only_layers: list[int] | None = None

    def derive(self) -> None:
        """Fill in what follows from other fields."""
        super().derive()
        self.mlp_only_layers = self.mlp_only_layers or []

    def check(self) -> None:
        """Refuse more experts per token than there are."""
        super().check()
        if 0 < self.num_experts < self.num_experts_per_tok:
            raise ConfigError(
                f"num_experts_per_tok={self.num_experts_per_tok} exceeds "
                f"num_experts={self.num_experts}."
            )

    def is_sparse(self, layer_idx: int) -> bool:
        """Whether the layer has experts."""
        return (
            layer_idx not in (self.mlp_only_layers or ())
            and self.num_experts > 0
            and (layer_idx + 1) % self.decoder_sparse_step == 0
        )
