"""Configuration of GPT-2."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class GPT2Config(PretrainedConfig):
    """Sizes and constants of a GPT-2 model; the defaults are those of ``gpt2``.

    The ``summary_*`` fields shape the multiple-choice head of `GPT2DoubleHeadsModel`.
    """

    model_type: ClassVar[str] = "gpt2"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    vocab_size: Size = 50257
    n_positions: Size = 1024
    n_embd: Size = 768
    n_layer: LayerCount = 12
    n_head: Size = 12
    n_inner: Size | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: Probability = 0.1
    embd_pdrop: Probability = 0.1
    attn_pdrop: Probability = 0.1
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    initializer_range: NonNegativeFloat = 0.02
    summary_type: str = "cls_index"
    summary_use_proj: bool = True
    summary_activation: str | None = None
    summary_proj_to_labels: bool = True
    summary_first_dropout: Probability = 0.1
    scale_attn_weights: bool = True
    use_cache: bool = True
    bos_token_id: TokenIds = 50256
    eos_token_id: TokenIds = 50256
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        if self.n_embd % self.n_head:
            raise ConfigError(f"n_head={self.n_head} does not divide n_embd={self.n_embd}.")
