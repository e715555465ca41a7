"""PaliGemma: a picture and a prefix read in both directions, and a suffix written behind them
(arXiv 2407.07726).

SigLIP's patches through one layer take the places of tokens of Gemma. B batch, T tokens, S keys,
P pictures, C channels, H height, W width, N patches, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.auto import AutoModel
from dovetail.generation.inputs import Arguments
from dovetail.layers.projections import Linear
from dovetail.losses import IGNORED
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import CausalLMOutputWithPast, ModelOutput
from dovetail.recording import task_head
from dovetail_models_vision.paligemma.configuration import PaliGemmaConfig
from dovetail_models_vision.vision_language.features import Visual
from dovetail_models_vision.vision_language.modeling import VisionLanguageModel, without_padding


@dataclass
class PaliGemmaCausalLMOutputWithPast(CausalLMOutputWithPast):
    """`image_hidden_states` (P, N, D) are the features of pictures, when there were some."""

    image_hidden_states: Tensor | None = None


class PaliGemmaMultiModalProjector(nn.Module):
    """One layer from the width of the vision part to that of the text part."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.linear = Linear(config.vision_config.hidden_size, config.projection_dim)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)


class PaliGemmaPreTrainedModel(PreTrainedModel):
    config_class = PaliGemmaConfig
    _no_split_modules: ClassVar[list[str]] = ["CLIPEncoderLayer", "GemmaDecoderLayer"]


class PaliGemmaForConditionalGeneration(VisionLanguageModel, PaliGemmaPreTrainedModel):
    """Text about pictures."""

    output_class = PaliGemmaCausalLMOutputWithPast

    def build(self, config: Any) -> None:
        """Tower and projector."""
        self.vision_tower = self.part(AutoModel, "vision_config")
        self.multi_modal_projector = PaliGemmaMultiModalProjector(config)

    def encode(self, pixel_values: Tensor | None = None) -> Sequence[Visual]:  # type: ignore[override]
        """The features of pictures (P, C, H, W)."""
        if pixel_values is None:
            return []
        features = self.get_image_features(pixel_values)
        return [Visual("image", self.config.image_token_index, features)]

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Projected features (P, N, D) of pictures (P, C, H, W), as the text part wants them."""
        states = self.vision_tower(pixel_values, return_dict=True).last_hidden_state
        return self.multi_modal_projector(states) / self.config.hidden_size**0.5

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        token_type_ids: Tensor | None = None,
        cache_position: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        num_logits_to_keep: int = 0,
        **recording: bool | None,
    ) -> ModelOutput:
        """Logits (B, T, V) of texts (B, T) with pictures (P, C, H, W).

        Every token sees all of the prefix; with `labels` and `token_type_ids` (B, T), which are 1
        in the suffix, its tokens see no later ones.
        """
        text = input_ids if inputs_embeds is None else inputs_embeds
        if text is None:
            raise ValueError("Give input_ids or inputs_embeds.")
        cache = self.get_decoder().open_cache(past_key_values, use_cache)  # type: ignore[operator]
        past = int(cache_position[0]) if cache_position is not None else 0
        if cache is not None and cache_position is None:
            past = int(cache.get_seq_length())
        if position_ids is None:  # they count from 1
            position_ids = torch.arange(past + 1, past + 1 + text.shape[1], device=text.device)[
                None
            ]
        mask = attention_mask
        if text.shape[1] > 1 and (attention_mask is None or attention_mask.dim() == 2):
            keys = text.shape[1] if cache is None else cache.key_length(text.shape[1], 0)
            suffix = None if labels is None else token_type_ids
            mask = prefix_mask(text, past, keys, attention_mask, suffix)
        return self.run(
            {"pixel_values": pixel_values},
            input_ids,
            mask,
            inputs_embeds,
            self.words(labels, attention_mask),
            position_ids,
            cache,
            use_cache,
            cache_position,
            num_logits_to_keep,
            **recording,
        )

    def words(self, labels: Tensor | None, attention_mask: Tensor | None) -> Tensor | None:
        """`labels` (B, T), of which padding does not count."""
        if labels is None:
            return None
        if self.config.pad_token_id is not None:
            labels = labels.masked_fill(labels == self.config.pad_token_id, IGNORED)
        return without_padding(labels, attention_mask)

    def prepare_inputs_for_generation(self, *args: Any, **kwargs: Any) -> Arguments:
        """Arguments of one forward pass; positions count from 1."""
        inputs = super().prepare_inputs_for_generation(*args, **kwargs)
        if inputs.get("position_ids") is not None:
            inputs["position_ids"] = inputs["position_ids"] + 1
        return inputs


def prefix_mask(
    text: Tensor, past: int, keys: int, attention_mask: Tensor | None, suffix: Tensor | None
) -> Tensor:
    """Which of S `keys` each token of `text` (B, T, ...), behind `past` others, may see: (B, 1, T,
    S).

    All but padding, an `attention_mask` (B, S or less) of zeros; with `suffix` (B, S or less),
    which is 1 behind the prefix, none of it that comes later.
    """
    batch, length = text.shape[:2]
    places = torch.arange(keys, device=text.device)
    visible = (places < past + length).expand(batch, 1, length, keys)
    if suffix is not None:
        later = places > past + torch.arange(length, device=text.device)[:, None]
        visible = visible & ~(later & known(suffix, keys)[:, None, None])
    if attention_mask is not None:
        visible = visible & known(attention_mask, keys)[:, None, None]
    return visible


def known(mask: Tensor, keys: int) -> Tensor:
    """A mask (B, ...) of S `keys` as booleans; those that it does not reach are True."""
    mask = mask[:, :keys].bool()
    return torch.cat((mask, mask.new_ones(len(mask), keys - mask.shape[1])), 1)
