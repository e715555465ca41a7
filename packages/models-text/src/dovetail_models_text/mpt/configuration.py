"""Configuration of MPT."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, PositiveFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError

KINDS = ("multihead_attention", "multiquery_attention")


class MptAttentionConfig(PretrainedConfig):
    """What is particular to attention: its dropout, the bound of its projection (`clip_qkv`) and
    the factor of its scores (`softmax_scale`).

    The other fields are kept for files that have them, and mean nothing.
    """

    attn_type: str = "multihead_attention"
    attn_pdrop: Probability = 0
    attn_impl: str = "torch"
    clip_qkv: PositiveFloat | None = None
    softmax_scale: PositiveFloat | None = None
    prefix_lm: bool = False
    qk_ln: bool = False
    attn_uses_sequence_id: bool = False
    alibi: bool = True
    alibi_bias_max: Size = 8

    def check(self) -> None:
        """Refuse unknown kinds of attention."""
        if self.attn_type not in KINDS:
            raise ConfigError(f"attn_type={self.attn_type!r} must be one of {', '.join(KINDS)}.")


class MptConfig(PretrainedConfig):
    """Sizes and constants of an MPT model.

    `expansion_ratio`, `learned_pos_emb`, `init_device`, `logit_scale`, `no_bias`, `verbose`,
    `embedding_fraction` and `norm_type` are kept for files that have them, and mean nothing.
    """

    model_type: ClassVar[str] = "mpt"
    sub_configs: ClassVar[dict[str, Any]] = {"attn_config": MptAttentionConfig}
    attribute_map: ClassVar[dict[str, str]] = {
        "num_attention_heads": "n_heads",
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layers",
    }

    d_model: Size = 2048
    n_heads: Size = 16
    n_layers: LayerCount = 24
    expansion_ratio: Size = 4
    max_seq_len: Size = 2048
    vocab_size: Size = 50368
    resid_pdrop: Probability = 0.0
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    emb_pdrop: Probability = 0.0
    learned_pos_emb: bool = True
    attn_config: Any = None
    init_device: str = "cpu"
    logit_scale: float | str | None = None
    no_bias: bool = True
    verbose: int = 0
    embedding_fraction: float = 1.0
    norm_type: str = "low_precision_layernorm"
    use_cache: bool = False
    initializer_range: NonNegativeFloat = 0.02

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        if self.d_model % self.n_heads:
            raise ConfigError(f"n_heads={self.n_heads} does not divide d_model={self.d_model}.")
