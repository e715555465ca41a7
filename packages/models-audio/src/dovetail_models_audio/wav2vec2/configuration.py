"""Configuration of Wav2Vec 2.0."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from dovetail.config_fields import (
    LayerCount,
    NonNegative,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class Wav2Vec2Config(PretrainedConfig):
    """Sizes and constants of a Wav2Vec 2.0 model; the defaults are those of
    ``facebook/wav2vec2-base-960h``.

    `conv_dim`, `conv_stride` and `conv_kernel` describe the feature encoder layer by layer;
    `do_stable_layer_norm` puts the encoder's norms in front of its blocks. `mask_time_...` and
    `mask_feature_...` are SpecAugment's (arXiv 1904.08779). `output_hidden_size` is the width
    behind the convolutional adapter (`add_adapter`), by default `hidden_size`; `adapter_attn_dim`
    is that of the adapters of each layer, by which one model serves many languages.
    """

    model_type: ClassVar[str] = "wav2vec2"

    vocab_size: Size = 32
    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout: Probability = 0.1
    activation_dropout: Probability = 0.1
    attention_dropout: Probability = 0.1
    feat_proj_dropout: Probability = 0.0
    feat_quantizer_dropout: Probability = 0.0
    final_dropout: Probability = 0.1
    layerdrop: Probability = 0.1
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-5
    feat_extract_norm: Literal["group", "layer"] = "group"
    feat_extract_activation: str = "gelu"
    conv_dim: list[Size] = [512] * 7
    conv_stride: list[Size] = [5, 2, 2, 2, 2, 2, 2]  # noqa: RUF012 - copied for each instance
    conv_kernel: list[Size] = [10, 3, 3, 3, 3, 2, 2]  # noqa: RUF012 - copied for each instance
    conv_bias: bool = False
    num_conv_pos_embeddings: Size = 128
    num_conv_pos_embedding_groups: Size = 16
    do_stable_layer_norm: bool = False
    apply_spec_augment: bool = True
    mask_time_prob: Probability = 0.05
    mask_time_length: Size = 10
    mask_time_min_masks: NonNegative = 2
    mask_feature_prob: Probability = 0.0
    mask_feature_length: Size = 10
    mask_feature_min_masks: NonNegative = 0
    num_codevectors_per_group: Size = 320
    num_codevector_groups: Size = 2
    contrastive_logits_temperature: PositiveFloat = 0.1
    num_negatives: Size = 100
    codevector_dim: Size = 256
    proj_codevector_dim: Size = 256
    diversity_loss_weight: NonNegativeFloat = 0.1
    ctc_loss_reduction: str = "sum"
    ctc_zero_infinity: bool = False
    use_weighted_layer_sum: bool = False
    classifier_proj_size: Size = 256
    tdnn_dim: list[Size] = [512, 512, 512, 512, 1500]  # noqa: RUF012 - copied for each instance
    tdnn_kernel: list[Size] = [5, 3, 3, 1, 1]  # noqa: RUF012 - copied for each instance
    tdnn_dilation: list[Size] = [1, 2, 3, 1, 1]  # noqa: RUF012 - copied for each instance
    xvector_output_dim: Size = 512
    pad_token_id: TokenIds = 0
    bos_token_id: TokenIds = 1
    eos_token_id: TokenIds = 2
    add_adapter: bool = False
    adapter_kernel_size: Size = 3
    adapter_stride: Size = 2
    num_adapter_layers: LayerCount = 3
    output_hidden_size: Size | None = None
    adapter_attn_dim: Size | None = None

    def derive(self) -> None:
        """Count the feature encoder's layers; what the adapter gives is as wide as the rest."""
        self.num_feat_extract_layers = len(self.conv_dim)
        self.output_hidden_size = self.output_hidden_size or self.hidden_size

    @property
    def inputs_to_logits_ratio(self) -> int:
        """How many samples one output stands for."""
        return math.prod(self.conv_stride)

    @property
    def encoded_size(self) -> int:
        """The width of what the body gives."""
        return (self.output_hidden_size or 0) if self.add_adapter else self.hidden_size

    def check(self) -> None:
        """Refuse lists of different lengths, and numbers that do not divide."""
        for names in (
            ("conv_dim", "conv_stride", "conv_kernel"),
            ("tdnn_dim", "tdnn_kernel", "tdnn_dilation"),
        ):
            lengths = {name: len(getattr(self, name)) for name in names}
            if len(set(lengths.values())) > 1:
                said = ", ".join(f"{name} {length}" for name, length in lengths.items())
                raise ConfigError(f"One number for each layer is wanted, but there are: {said}.")
        for name, divided in (
            ("num_attention_heads", "hidden_size"),
            ("num_conv_pos_embedding_groups", "hidden_size"),
            ("num_codevector_groups", "codevector_dim"),
        ):
            if getattr(self, divided) % getattr(self, name):
                raise ConfigError(
                    f"{name}={getattr(self, name)} does not divide "
                    f"{divided}={getattr(self, divided)}."
                )
