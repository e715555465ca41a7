"""Configuration of GPT-J."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class GPTJConfig(PretrainedConfig):
    """Sizes and constants of a GPT-J model; the defaults are those of ``EleutherAI/gpt-j-6B``.

    The first `rotary_dim` channels of a head are rotated, all of them if it is None.
    """

    model_type: ClassVar[str] = "gptj"
    attribute_map: ClassVar[dict[str, str]] = {
        "max_position_embeddings": "n_positions",
        "hidden_size": "n_embd",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    vocab_size: Size = 50400
    n_positions: Size = 2048
    n_embd: Size = 4096
    n_layer: LayerCount = 28
    n_head: Size = 16
    rotary_dim: Size | None = 64
    n_inner: Size | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: Probability = 0.0
    embd_pdrop: Probability = 0.0
    attn_pdrop: Probability = 0.0
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    initializer_range: NonNegativeFloat = 0.02
    use_cache: bool = True
    bos_token_id: TokenIds = 50256
    eos_token_id: TokenIds = 50256
    tie_word_embeddings: bool = False

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        if self.n_embd % self.n_head:
            raise ConfigError(f"n_head={self.n_head} does not divide n_embd={self.n_embd}.")
