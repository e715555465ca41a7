"""Llama 3.2 Vision: a tower reads tiles of pictures, and some layers of Llama attend to them (arXiv
2407.21783, section 7).

B batch, T tokens, M pictures of a text, N tiles of each, P patches of a tile, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from dovetail.generation import GenerationMixin
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.inputs import Arguments, Prompt
from dovetail.layers.projections import Linear
from dovetail.outputs import ModelOutput
from dovetail.recording import task_head
from dovetail_models_vision.mllama.text import MllamaForCausalLM as MllamaForCausalLM
from dovetail_models_vision.mllama.text import MllamaTextModel as MllamaTextModel
from dovetail_models_vision.mllama.vision import MllamaPreTrainedModel as MllamaPreTrainedModel
from dovetail_models_vision.mllama.vision import MllamaVisionModel as MllamaVisionModel

PICTURES = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")


class MllamaForConditionalGeneration(MllamaPreTrainedModel, GenerationMixin):
    """Next-token logits of texts with pictures."""

    input_embeddings = "language_model.model.embed_tokens"
    output_embeddings = "language_model.lm_head"
    base_model_prefix = ""
    _tied_weights_keys: ClassVar[dict[str, str]] = {}

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        vision, text = config.vision_config, config.text_config
        self.vision_model = MllamaVisionModel(vision)
        self.language_model = MllamaForCausalLM(text)
        self.multi_modal_projector = Linear(vision.vision_output_dim, text.hidden_size)
        self.post_init()

    def get_decoder(self) -> Any:
        """The language model without its head."""
        return self.language_model.model

    def set_decoder(self, decoder: Any) -> None:
        """Replace the language model below its head."""
        self.language_model.model = decoder

    def encode(
        self,
        pixel_values: Tensor,
        aspect_ratio_ids: Tensor | None = None,
        aspect_ratio_mask: Tensor | None = None,
    ) -> Tensor:
        """Features (B, M * N * P, D) of tiles (B, M, N, C, H, W).

        Raises:
            ValueError: the aspect ratios are not given, or anything does not fit.
        """
        if aspect_ratio_ids is None or aspect_ratio_mask is None:
            raise ValueError(
                "pixel_values need aspect_ratio_ids and aspect_ratio_mask: give all that the image "
                "processor made."
            )
        pixels = (pixel_values, aspect_ratio_ids, aspect_ratio_mask)
        features = self.vision_model(*pixels, return_dict=True).last_hidden_state
        return self.multi_modal_projector(features).flatten(1, 3)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        aspect_ratio_mask: Tensor | None = None,
        aspect_ratio_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cross_attention_mask: Tensor | None = None,
        cross_attention_states: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        cache_position: Tensor | None = None,
        num_logits_to_keep: int = 0,
    ) -> ModelOutput:
        """Logits (B, T, V) of texts (B, T) with tiles (B, M, N, C, H, W), or with features of such
        `cross_attention_states`; `labels` (B, T) give the loss.

        `cross_attention_mask` (B, T, M, N) is 1 for the tiles that a token sees; it may begin with
        what a cache holds.

        Raises:
            ValueError: pictures are given in two forms, or without their aspect ratios.
        """
        if pixel_values is not None:
            if cross_attention_states is not None:
                raise ValueError(
                    "pixel_values and cross_attention_states are the same pictures: give one."
                )
            cross_attention_states = self.encode(pixel_values, aspect_ratio_ids, aspect_ratio_mask)
        text = input_ids if inputs_embeds is None else inputs_embeds
        seeing = None
        if cross_attention_mask is not None and text is not None:
            visible = fresh_rows(cross_attention_mask, text.shape[1], cache_position)
            cross_attention_mask, seeing = self.picture_masks(visible)
        wanted = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        own = {name: getattr(self.config, name) for name in wanted}
        return self.language_model(
            input_ids,
            attention_mask,
            position_ids=position_ids,
            cross_attention_states=cross_attention_states,
            cross_attention_mask=cross_attention_mask,
            full_text_row_masked_out_mask=seeing,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            use_cache=use_cache,
            cache_position=cache_position,
            num_logits_to_keep=num_logits_to_keep,
            return_dict=True,
            **{name: own[name] if given is None else given for name, given in wanted.items()},
        )

    def picture_masks(self, visible: Tensor) -> tuple[Tensor, Tensor]:
        """From the tiles that tokens see (B, T, M, N) what is added to scores (B, 1, T, M * N * P),
        and which tokens see any (B, 1, T, 1). The others are to see all, and be left out behind.
        """
        patches, dtype = self.config.vision_config.num_patches, self.language_model.dtype
        seen = visible.flatten(2).bool()[:, None]  # (B, 1, T, M * N)
        seeing = seen.any(-1, keepdim=True)
        hidden = (~seen & seeing).repeat_interleave(patches, -1)
        added = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
        return added.masked_fill_(hidden, torch.finfo(dtype).min), seeing.to(dtype)

    # Generation

    def _prepare_model_kwargs(
        self, prompt: Prompt, rows: int, config: GenerationConfig, model_kwargs: Arguments
    ) -> tuple[Tensor, Arguments]:
        """As everywhere; pictures are encoded here, once."""
        given = {name: model_kwargs.pop(name) for name in PICTURES if name in model_kwargs}
        if given.get("pixel_values") is not None:
            model_kwargs["cross_attention_states"] = self.encode(**given)
        return super()._prepare_model_kwargs(prompt, rows, config, model_kwargs)

    def _update_model_kwargs_for_generation(
        self,
        outputs: ModelOutput,
        model_kwargs: Arguments,
        is_encoder_decoder: bool = False,
        num_new_tokens: int = 1,
    ) -> Arguments:
        """As everywhere; new tokens see the pictures that the last one saw, by the cache."""
        model_kwargs = super()._update_model_kwargs_for_generation(
            outputs, model_kwargs, is_encoder_decoder, num_new_tokens
        )
        mask = model_kwargs.get("cross_attention_mask")
        if mask is not None:
            last = mask[:, -1:].expand(-1, num_new_tokens, -1, -1)
            model_kwargs["cross_attention_mask"] = torch.cat((mask, last), 1)
        if model_kwargs.get("past_key_values") is not None:
            model_kwargs.pop("cross_attention_states", None)
        return model_kwargs


def fresh_rows(mask: Tensor, length: int, cache_position: Tensor | None) -> Tensor:
    """Of a mask (B, T, M, N) that may begin with what a cache holds the rows of `length` new
    tokens.

    Raises:
        ValueError: it has fewer.
    """
    if mask.dim() != 4 or mask.shape[1] < length:
        raise ValueError(
            f"cross_attention_mask of shape {tuple(mask.shape)} must be (batch, tokens, pictures, "
            f"tiles) with at least the {length} tokens of the text."
        )
    if mask.shape[1] == length:
        return mask
    return mask[:, -length:] if cache_position is None else mask[:, cache_position]
