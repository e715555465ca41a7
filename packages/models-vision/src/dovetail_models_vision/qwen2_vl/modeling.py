"""Qwen2-VL: Qwen 2 that reads images and videos of any size (arXiv 2409.12191).

Tokens of pictures have a place in time, height and width; some pairs of channels turn by each. Text
goes on behind the largest place so far. B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from dovetail.context import Context
from dovetail.errors import ConfigError, GenerationError
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.inputs import Arguments, Prompt
from dovetail.heads import ForCausalLM
from dovetail.layers.rotary import RotaryEmbedding
from dovetail.logging import get_logger
from dovetail.outputs import CausalLMOutputWithPast, ModelOutput
from dovetail.recording import task_head
from dovetail_models_text.llama.modeling import LlamaModel, LlamaPreTrainedModel
from dovetail_models_vision.qwen2_vl.configuration import Qwen2VLConfig
from dovetail_models_vision.qwen2_vl.positions import rope_index
from dovetail_models_vision.qwen2_vl.vision import Qwen2VisionTransformerPretrainedModel
from dovetail_models_vision.vision_language.features import Visual
from dovetail_models_vision.vision_language.reading import ReadsPictures

logger = get_logger(__name__)


@dataclass
class Qwen2VLCausalLMOutputWithPast(CausalLMOutputWithPast):
    """`rope_deltas` (B, 1) are how far the position of a text's next token is from its index."""

    rope_deltas: Tensor | None = None


class Qwen2VLRotaryEmbedding(RotaryEmbedding):
    """Angles of positions in time, height and width, by turns `sections` pairs of channels each."""

    axes: Tensor

    def __init__(self, sections: list[int], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        self.register_buffer("axes", self.section_axes(), persistent=False)

    def section_axes(self, device: Any = None) -> Tensor:
        """Which axis turns each pair of channels (E/2,)."""
        axes = [part % 3 for part, count in enumerate(self.sections) for _ in range(count)]
        return torch.tensor(axes, device=device)

    def reset_buffers(self, device: Any = None) -> None:
        super().reset_buffers(device)
        self.axes = self.section_axes(device)

    def angles(self, position_ids: Tensor, inv_freq: Tensor) -> Tensor:
        if position_ids.dim() == 2:  # a text's, which are the same along all axes
            return super().angles(position_ids, inv_freq)
        return position_ids[self.axes].movedim(0, -1).float() * inv_freq.float()


class Qwen2VLPreTrainedModel(LlamaPreTrainedModel):
    config_class: ClassVar[Any] = Qwen2VLConfig
    _no_split_modules: ClassVar[list[str]] = ["LlamaDecoderLayer", "Qwen2VLVisionBlock"]


class Qwen2VLModel(LlamaModel, Qwen2VLPreTrainedModel):
    """The language model without a head; `position_ids` are (B, T), or (3, B, T) along time, height
    and width."""

    @staticmethod
    def make_rotary(config: Any, **scaling: Any) -> RotaryEmbedding:
        sections = (config.rope_scaling or {}).get("mrope_section")
        if sections is None:
            raise ConfigError(
                f"{type(config).__name__}: rope_scaling={config.rope_scaling} lacks "
                "'mrope_section', the pairs of channels that turn by time, height and width: "
                "{'type': 'mrope', 'mrope_section': [16, 24, 24]} for heads of 128."
            )
        limit = config.max_position_embeddings
        return Qwen2VLRotaryEmbedding(
            sections, config.head_dim, config.rope_theta, limit, config.rope_scaling
        )

    def decoder_context(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None,
        *,
        position_ids: Tensor | None = None,
        **options: Any,
    ) -> Context:
        if position_ids is None or position_ids.dim() == 2:
            options["position_ids"] = position_ids
        context = super().decoder_context(hidden_states, attention_mask, **options)
        if position_ids is not None:
            context.position_ids = position_ids
        return context


class Qwen2VLForConditionalGeneration(ReadsPictures, ForCausalLM, Qwen2VLPreTrainedModel):
    """Next-token logits of texts with images and videos."""

    output_class = Qwen2VLCausalLMOutputWithPast
    visual_inputs = ("pixel_values", "pixel_values_videos", "image_grid_thw", "video_grid_thw")

    def build_head(self) -> None:
        super().build_head()
        self.visual = Qwen2VisionTransformerPretrainedModel(self.config.vision_config)

    def encode(  # type: ignore[override]
        self,
        pixel_values: Tensor | None = None,
        pixel_values_videos: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        video_grid_thw: Tensor | None = None,
    ) -> list[Visual]:
        config = self.config
        given = (
            ("image", config.image_token_id, pixel_values, image_grid_thw),
            ("video", config.video_token_id, pixel_values_videos, video_grid_thw),
        )
        for kind, _, pixels, grids in given:
            if pixels is not None and grids is None:
                raise ValueError(
                    f"pictures without {kind}_grid_thw: give what the image processor made of them."
                )
        return [
            Visual(kind, token, self.visual(pixels, grids))
            for kind, token, pixels, grids in given
            if pixels is not None
        ]

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        pixel_values: Tensor | None = None,
        pixel_values_videos: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        video_grid_thw: Tensor | None = None,
        rope_deltas: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, T, V) of texts (B, T) with the patches of all their images and videos, in the
        order of their tokens, and the loss when `labels` (B, T) are given.

        Without `position_ids` every token counts as text, also those of pictures: `get_rope_index`
        gives the positions (3, B, T) that the model was trained with, and `generate` takes them by
        itself.
        """
        visual = (pixel_values, pixel_values_videos, image_grid_thw, video_grid_thw)
        if inputs_embeds is None:
            seen = self.encode(*visual)
            if seen and position_ids is None:
                logger.warning_once(
                    "Pictures are read without position_ids, so their tokens count as text: pass "
                    "position_ids=model.get_rope_index(...)[0]."
                )
            inputs_embeds = self.embed_with(input_ids, None, seen)
        output = super().forward(
            None,
            attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            **kwargs,
        )
        output.rope_deltas = rope_deltas
        return output

    def get_rope_index(
        self,
        input_ids: Tensor,
        image_grid_thw: Tensor | None = None,
        video_grid_thw: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Positions (3, B, T) of texts (B, T) along time, height and width, and how far the
        position of each text's next token is from its index (B, 1).

        Raises:
            ValueError: the texts have not as many picture tokens as the grids say.
        """
        grids = {
            self.config.image_token_id: image_grid_thw,
            self.config.video_token_id: video_grid_thw,
        }
        merge = self.config.vision_config.spatial_merge_size
        return rope_index(input_ids, grids, attention_mask, merge)

    # Generation

    def _prepare_model_kwargs(
        self, prompt: Prompt, rows: int, config: GenerationConfig, model_kwargs: Arguments
    ) -> tuple[Tensor, Arguments]:
        """As for all that read pictures, with the positions of the whole prompt."""
        if not prompt.reads_embeddings:
            grids = [model_kwargs.get(f"{kind}_grid_thw") for kind in ("image", "video")]
            self._check_pictures(prompt.input_ids, *grids)
            mask = model_kwargs.get("attention_mask")
            positions, deltas = self.get_rope_index(prompt.input_ids, grids[0], grids[1], mask)
            # rows come first in all that is repeated for beams
            model_kwargs |= {"prompt_positions": positions.movedim(0, 1), "rope_deltas": deltas}
        return super()._prepare_model_kwargs(prompt, rows, config, model_kwargs)

    def _check_pictures(self, input_ids: Tensor, *grids: Tensor | None) -> None:
        """Refuse prompts with tokens of images or videos that are not given."""
        for kind, grid in zip(("image", "video"), grids, strict=True):
            token = getattr(self.config, f"{kind}_token_id")
            if grid is None and bool((input_ids == token).any()):
                raise GenerationError(
                    f"input_ids hold tokens of {kind}s (id {token}), and {kind}_grid_thw is not "
                    "given: pass all that the processor made of text and pictures."
                )

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        cache_position: Tensor | None = None,
        rope_deltas: Tensor | None = None,
        prompt_positions: Tensor | None = None,
        **kwargs: Any,
    ) -> Arguments:
        """Arguments of one forward pass, with the positions of the new tokens: (3, B, T) where the
        prompt is among them, else (B, T)."""
        inputs = super().prepare_inputs_for_generation(
            input_ids, cache_position=cache_position, **kwargs
        )
        if rope_deltas is None or prompt_positions is None:
            return inputs
        length, known = input_ids.shape[1], prompt_positions.shape[-1]
        fresh = length if cache_position is None else cache_position.shape[0]
        first = length - fresh
        behind = torch.arange(max(first, known), max(length, known), device=input_ids.device)
        positions = behind + rope_deltas  # (B, T)
        if first < known:
            asked = prompt_positions[..., first:length]
            positions = torch.cat((asked, positions[:, None].expand(-1, 3, -1)), -1).movedim(1, 0)
        return {**inputs, "position_ids": positions, "rope_deltas": rope_deltas}
