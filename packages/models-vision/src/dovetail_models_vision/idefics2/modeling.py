"""Idefics2: pictures of any size as 64 tokens each of a language model (arXiv 2405.02246).

B batch, P pictures for each text, N all pictures, T tokens, C channels, H height, W width, R rows
and K columns of patches, S patches, L latents, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.auto import AutoModel
from dovetail.heads import ForCausalLM
from dovetail.layers.activations import activation
from dovetail.layers.attention import attention, split_heads
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.masks import Mask, bidirectional_mask
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast, CausalLMOutputWithPast, ModelOutput
from dovetail.recording import task_head
from dovetail_models_vision.idefics2.configuration import Idefics2Config
from dovetail_models_vision.idefics2.vision import Idefics2VisionTransformer
from dovetail_models_vision.vision_language.features import Visual
from dovetail_models_vision.vision_language.modeling import without_padding
from dovetail_models_vision.vision_language.reading import PlacesPictures, ReadsPictures


@dataclass
class Idefics2BaseModelOutputWithPast(BaseModelOutputWithPast):
    """`image_hidden_states` (N, L, D) are the features of pictures, when there were some."""

    image_hidden_states: Tensor | None = None


@dataclass
class Idefics2CausalLMOutputWithPast(CausalLMOutputWithPast):
    """`image_hidden_states` (N, L, D) are the features of pictures, when there were some."""

    image_hidden_states: Tensor | None = None


class Idefics2MLP(nn.Module):
    """A gated MLP from one width to another."""

    def __init__(self, width: int, inner: int, output: int, act: str) -> None:
        super().__init__()
        self.gate_proj = Linear(width, inner, bias=False)
        self.up_proj = Linear(width, inner, bias=False)
        self.down_proj = Linear(inner, output, bias=False)
        self.act_fn = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class Idefics2PerceiverAttention(nn.Module):
    """Latents attend to patches and to each other."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.head_dim, self.dropout = config.resampler_head_dim, config.attention_dropout
        width = config.hidden_size
        queries = config.resampler_n_heads * self.head_dim
        keys = config.num_key_value_heads * self.head_dim
        self.q_proj = Linear(width, queries, bias=False)
        self.k_proj = Linear(width, keys, bias=False)
        self.v_proj = Linear(width, keys, bias=False)
        self.o_proj = Linear(queries, width, bias=False)

    def forward(
        self, latents: Tensor, patches: Tensor, mask: Mask | None, implementation: str
    ) -> Tensor:
        seen = torch.cat((patches, latents), 1)
        query, key, value = (
            split_heads(states, self.head_dim)
            for states in (self.q_proj(latents), self.k_proj(seen), self.v_proj(seen))
        )
        dropout = self.dropout * self.training
        return self.o_proj(
            attention(query, key, value, mask, dropout=dropout, implementation=implementation)
        )


class Idefics2PerceiverLayer(nn.Module):
    """Attention and MLP, each behind norms."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.input_latents_norm = RMSNorm(width, eps)
        self.input_context_norm = RMSNorm(width, eps)
        self.self_attn = Idefics2PerceiverAttention(config)
        self.post_attention_layernorm = RMSNorm(width, eps)
        self.mlp = GatedMLP(width, 4 * width, config.hidden_act)

    def forward(
        self, latents: Tensor, patches: Tensor, mask: Mask | None, implementation: str
    ) -> Tensor:
        normed = self.input_latents_norm(latents), self.input_context_norm(patches)
        latents = latents + self.self_attn(*normed, mask, implementation)
        return latents + self.mlp(self.post_attention_layernorm(latents))


class Idefics2PerceiverResampler(nn.Module):
    """As many tokens of every picture as there are latents."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.latents = nn.Parameter(torch.ones(config.resampler_n_latents, config.hidden_size))
        self.layers = nn.ModuleList(
            Idefics2PerceiverLayer(config) for _ in range(config.resampler_depth)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, patches: Tensor, shown: Tensor) -> Tensor:
        """Latents (N, L, D) of patches (N, S, D), of which `shown` (N, S) are no padding."""
        latents = self.latents.expand(len(patches), -1, -1)
        visible = torch.cat((shown, shown.new_ones(latents.shape[:2])), 1)
        mask = bidirectional_mask(latents, visible, visible.shape[1])
        for layer in self.layers:
            latents = layer(latents, patches, mask, self.config._attn_implementation or "sdpa")
        return self.norm(latents)


class Idefics2Connector(nn.Module):
    """From the vision part's patches to tokens of the text part."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        text = config.text_config
        self.modality_projection = Idefics2MLP(
            config.vision_config.hidden_size,
            text.intermediate_size,
            text.hidden_size,
            text.hidden_act,
        )
        self.perceiver_resampler = Idefics2PerceiverResampler(config.perceiver_config)

    def forward(self, patches: Tensor, shown: Tensor) -> Tensor:
        """Tokens (N, L, D) of patches (N, S, width), of which `shown` (N, R, K) are no padding."""
        return self.perceiver_resampler(self.modality_projection(patches), shown.flatten(1))


class Idefics2PreTrainedModel(PreTrainedModel):
    config_class: ClassVar[Any] = Idefics2Config
    base_model_prefix = "model"
    _no_split_modules: ClassVar[list[str]] = [
        "CLIPEncoderLayer",
        "Idefics2PerceiverLayer",
        "LlamaDecoderLayer",
    ]

    def _init_weights(self, module: nn.Module) -> None:
        """As the text part's; latents begin as ones."""
        self.base_model.text_model._init_weights(module)
        if isinstance(module, Idefics2PerceiverResampler):
            module.latents.data.fill_(1.0)


class Idefics2Model(Idefics2PreTrainedModel, PlacesPictures):
    """Image encoder, connector, and a language model without its head.

    Relatives replace `connector_class` and `shown`.
    """

    visual_inputs = ("pixel_values", "pixel_attention_mask", "image_hidden_states")
    connector_class: ClassVar[type[nn.Module]] = Idefics2Connector
    output_class: ClassVar[type[ModelOutput]] = Idefics2BaseModelOutputWithPast

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vision_model = Idefics2VisionTransformer(config.vision_config)
        self.connector = self.connector_class(config)
        self.text_model = AutoModel.from_config(config.text_config)
        config.text_config = self.text_model.config
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.text_model.set_input_embeddings(value)

    def encode(  # type: ignore[override]
        self,
        pixel_values: Tensor | None = None,
        pixel_attention_mask: Tensor | None = None,
        image_hidden_states: Tensor | None = None,
    ) -> Sequence[Visual]:
        """Features of the pictures (B, P, C, H, W) that are no padding: those with a pixel that is
        not 0 and, with `pixel_attention_mask` (B, P, H, W), a pixel that is shown. Or
        `image_hidden_states`, features as this gives them."""
        if (pixel_values is None) == (image_hidden_states is None):
            if pixel_values is None:
                return []
            raise ValueError("Give pixel_values or image_hidden_states, not both.")
        features = image_hidden_states
        if pixel_values is not None:
            features = self.get_image_features(pixel_values, pixel_attention_mask)
        return [Visual("image", self.config.image_token_id, features)]  # type: ignore[arg-type]

    def get_image_features(self, pixel_values: Tensor, mask: Tensor | None) -> Tensor:
        """Features (N, L, D) of pictures (B, P, C, H, W), padding left out."""
        if pixel_values.dim() != 5:
            raise ValueError(
                f"pixel_values of shape {tuple(pixel_values.shape)} must be (batch, pictures, "
                "channels, height, width)."
            )
        pixels = pixel_values.flatten(0, 1)
        self.vision_model.embeddings.patch_embedding.check(pixels, any_size=True)
        shape = (len(pixels), *pixels.shape[2:])
        if mask is not None and mask.shape != (*pixel_values.shape[:2], *shape[1:]):
            raise ValueError(
                f"pixel_attention_mask of shape {tuple(mask.shape)} does not fit pixel_values of "
                f"shape {tuple(pixel_values.shape)}: give (batch, pictures, height, width)."
            )
        mask = pixels.new_ones(shape).bool() if mask is None else mask.reshape(shape).bool()
        real = pixels.ne(0).flatten(1).any(1) & mask.flatten(1).any(1)
        shown = self.shown(mask[real])
        states = self.vision_model(pixels[real], shown, return_dict=True).last_hidden_state
        return self.connector(states, shown)

    def shown(self, mask: Tensor) -> Tensor:
        """Which patches (N, R, K) have no pixel of padding, by a mask (N, H, W) of pixels."""
        return self.patches(mask).all(-1)

    def patches(self, mask: Tensor) -> Tensor:
        """The pixels of each patch, (N, R, K, pixels), of a mask (N, H, W)."""
        edge = self.config.vision_config.patch_size
        return mask.unfold(1, edge, edge).unfold(2, edge, edge).flatten(-2)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_attention_mask: Tensor | None = None,
        image_hidden_states: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Hidden states (B, T, D) of texts (B, T) with pictures (B, P, C, H, W) or their features;
        `kwargs` go to the text part."""
        seen = self.encode(pixel_values, pixel_attention_mask, image_hidden_states)
        if inputs_embeds is None or seen:
            inputs_embeds = self.embed_with(input_ids, inputs_embeds, seen)
        outputs = self.text_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=self.config.use_cache if use_cache is None else use_cache,
            return_dict=True,
            **self.recorded_by_default(kwargs),
        )
        return self.output_class(**outputs, image_hidden_states=seen[0].features if seen else None)


class Idefics2ForConditionalGeneration(ForCausalLM, Idefics2PreTrainedModel, ReadsPictures):
    """Text about pictures."""

    visual_inputs = Idefics2Model.visual_inputs
    output_class = Idefics2CausalLMOutputWithPast

    def build_head(self) -> None:
        text = self.config.text_config
        self.lm_head = Linear(text.hidden_size, text.vocab_size, bias=False)

    def encode(self, **visual: Any) -> Sequence[Visual]:
        """As `Idefics2Model.encode`."""
        return self.base_model.encode(**visual)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_attention_mask: Tensor | None = None,
        image_hidden_states: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Logits (B, T, V) of texts (B, T) with pictures (B, P, C, H, W) or their features, and
        the loss when `labels` (B, T) are given, of which padding does not count."""
        if labels is not None:
            labels = without_padding(labels, attention_mask)
        return super().forward(
            input_ids,
            attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            pixel_values=pixel_values,
            pixel_attention_mask=pixel_attention_mask,
            image_hidden_states=image_hidden_states,
            labels=labels,
            **kwargs,
        )
