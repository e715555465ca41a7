"""Configuration of ViLT."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail_models_vision.vit.configuration import check_heads, check_patches


class ViltConfig(PretrainedConfig):
    """Sizes and constants of ViLT; the defaults are those of ``dandelin/vilt-b32-mlm``.

    With `max_image_length` above 0 a model sees at most so many patches of an image, chosen at
    random. `num_images` is how many images a text is about, for the class that compares several.
    """

    model_type: ClassVar[str] = "vilt"
    position_embedding_type: ClassVar[str] = "absolute"

    vocab_size: Size = 30522
    type_vocab_size: Size = 2
    modality_type_vocab_size: Size = 2
    max_position_embeddings: Size = 40
    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-12
    image_size: Size = 384
    patch_size: Size = 32
    num_channels: Size = 3
    qkv_bias: bool = True
    max_image_length: int = -1
    tie_word_embeddings: bool = False
    num_images: int = -1

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the image."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)
