"""Configuration of the Audio Spectrogram Transformer."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class ASTConfig(PretrainedConfig):
    """Sizes and constants of an Audio Spectrogram Transformer; the defaults are those of
    ``MIT/ast-finetuned-audioset-10-10-0.4593``.

    It reads `max_length` frames of `num_mel_bins` energies in square patches of `patch_size`, which
    begin `frequency_stride` energies and `time_stride` frames apart, so that they may overlap.
    """

    model_type: ClassVar[str] = "audio-spectrogram-transformer"

    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-12
    patch_size: Size = 16
    qkv_bias: bool = True
    frequency_stride: Size = 10
    time_stride: Size = 10
    max_length: Size = 1024
    num_mel_bins: Size = 128

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the spectrogram."""
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"num_attention_heads={self.num_attention_heads} does not divide "
                f"hidden_size={self.hidden_size}."
            )
        for name in ("max_length", "num_mel_bins"):
            if getattr(self, name) < self.patch_size:
                raise ConfigError(
                    f"patch_size={self.patch_size} is larger than {name}={getattr(self, name)}."
                )

    def _get_non_default_generation_parameters(self) -> dict[str, Any]:
        found = super()._get_non_default_generation_parameters()
        found.pop("max_length", None)  # here it counts frames
        return found
