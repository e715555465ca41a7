"""Configuration of GPT-BigCode."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class GPTBigCodeConfig(PretrainedConfig):
    """Sizes and constants of a GPT-BigCode model.

    With `multi_query` all heads share one key and one value. The two ``softmax_in_fp32`` fields are
    kept for files that have them: the softmax is always computed in float32.
    """

    model_type: ClassVar[str] = "gpt_bigcode"
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
    activation_function: str = "gelu_pytorch_tanh"
    resid_pdrop: Probability = 0.1
    embd_pdrop: Probability = 0.1
    attn_pdrop: Probability = 0.1
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    initializer_range: NonNegativeFloat = 0.02
    scale_attn_weights: bool = True
    use_cache: bool = True
    bos_token_id: TokenIds = 50256
    eos_token_id: TokenIds = 50256
    attention_softmax_in_fp32: bool = True
    scale_attention_softmax_in_fp32: bool = True
    multi_query: bool = True

    def derive(self) -> None:
        """How many keys and values there are, which files of 5.x state too."""
        self.num_key_value_heads = 1 if self.multi_query else self.n_head

    def check(self) -> None:
        """Refuse head counts that do not divide, and an encoder, which no checkpoint reads."""
        if self.n_embd % self.n_head:
            raise ConfigError(f"n_head={self.n_head} does not divide n_embd={self.n_embd}.")
        if self.add_cross_attention:
            raise ConfigError(
                "add_cross_attention=True: GPT-BigCode reads no encoder; use GPT-2 for that."
            )
