"""Configuration of GPT-Neo."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError

KINDS = ("global", "local")


class GPTNeoConfig(PretrainedConfig):
    """Sizes and constants of a GPT-Neo model; the defaults are those of
    ``EleutherAI/gpt-neo-1.3B``.

    `attention_types` lists sequences of kinds and how often each is repeated: ``global`` layers see
    all before a token, ``local`` ones `window_size` positions. `attention_layers` follow from it.
    """

    model_type: ClassVar[str] = "gpt_neo"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
    }

    vocab_size: Size = 50257
    max_position_embeddings: Size = 2048
    hidden_size: Size = 2048
    num_layers: LayerCount = 24
    attention_types: list[Any] = [[["global", "local"], 12]]  # noqa: RUF012 - a field
    num_heads: Size = 16
    intermediate_size: Size | None = None
    window_size: Size = 256
    activation_function: str = "gelu_new"
    resid_dropout: Probability = 0.0
    embed_dropout: Probability = 0.0
    attention_dropout: Probability = 0.0
    classifier_dropout: Probability = 0.1
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    initializer_range: NonNegativeFloat = 0.02
    use_cache: bool = True
    bos_token_id: TokenIds = 50256
    eos_token_id: TokenIds = 50256

    def derive(self) -> None:
        """The kind of each layer."""
        self.attention_layers = [
            kind for kinds, count in self.attention_types for kind in kinds * count
        ]

    def check(self) -> None:
        """Refuse head counts that do not divide, and kinds that are unknown or too many or few."""
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"num_heads={self.num_heads} does not divide hidden_size={self.hidden_size}."
            )
        if len(self.attention_layers) != self.num_layers:
            raise ConfigError(
                f"attention_types={self.attention_types} is for {len(self.attention_layers)} "
                f"layers where num_layers={self.num_layers}."
            )
        if unknown := sorted(set(self.attention_layers) - set(KINDS)):
            raise ConfigError(f"attention_types names {unknown}; kinds are {', '.join(KINDS)}.")

    @property
    def embd_pdrop(self) -> float:
        """`embed_dropout`, by GPT-2's name."""
        return self.embed_dropout

    @property
    def layer_windows(self) -> list[int | None]:
        """The window of each layer."""
        return [self.window_size if kind == "local" else None for kind in self.attention_layers]
