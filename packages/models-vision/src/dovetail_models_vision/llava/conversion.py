"""LLaVA's original checkpoints: a language model's files, in which the vision part and the
projector lie within the decoder, and a flat config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from dovetail.converting import Indexed, Layout, OneByOne, Renames, Shapes
from dovetail.weights import DerivedTensor, LazyTensor

TOWER = "model.vision_tower.vision_tower.vision_model"
NAMES = {
    "model.embed_tokens.weight": "language_model.model.embed_tokens.weight",
    "model.layers.**": "language_model.model.layers.**",
    "model.norm.weight": "language_model.model.norm.weight",
    "lm_head.weight": "language_model.lm_head.weight",
    "model.mm_projector.0.*": "multi_modal_projector.linear_1.*",
    "model.mm_projector.2.*": "multi_modal_projector.linear_2.*",
    f"{TOWER}.**": "vision_tower.vision_model.**",
}
EXTRA_ROWS = 64
"""What the Hub's embeddings have more than the original's, for the image token among others."""
HEAD_WIDTH = 64
"""That of every CLIP, whose number of heads no file says."""
TEXT_KEYS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "attention_bias",
    "sliding_window",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
"""Settings of the language model, called the same in both configs."""
LANGUAGE = {"llava": "llama", "llava_llama": "llama", "llava_mistral": "mistral"}
"""The language model of each of the original's model types."""


@dataclass(frozen=True)
class Placeholders(OneByOne):
    """The Hub's embeddings have rows for tokens that the original has no words for; they are the
    mean of all others."""

    def forward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """With as many rows as the config says."""
        more = config.text_config.vocab_size - tensor.shape[0]
        if more <= 0:
            return tensor

        def pad(parts: list[Tensor]) -> Tensor:
            mean = parts[0].float().mean(0, keepdim=True).to(parts[0].dtype)
            return torch.cat([parts[0], mean.expand(more, -1)])

        return DerivedTensor([tensor], (tensor.shape[0] + more, *tensor.shape[1:]), pad)

    def backward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """Without them, where the image token is the first of them."""
        rows = first_placeholder(config)
        if tensor.shape[0] != rows + EXTRA_ROWS:
            return tensor
        return DerivedTensor([tensor], (rows, *tensor.shape[1:]), lambda parts: parts[0][:rows])


def first_placeholder(config: Any) -> int:
    """The first of the tokens in whose places pictures or frames are."""
    image: int = config.image_token_index
    return min(image, getattr(config, "video_token_index", image))


def infer(settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]) -> dict[str, Any]:
    """The config, from the flat one and the shapes."""
    rows = shapes["model.embed_tokens.weight"][0]
    image = values.get("image_token_index", rows)
    kind = LANGUAGE.get(settings.get("model_type", "llava"), "llama")
    text = {name: settings[name] for name in TEXT_KEYS if settings.get(name) is not None}
    text |= {"model_type": kind, "vocab_size": rows if image < rows else rows + EXTRA_ROWS}
    found: dict[str, Any] = {
        "text_config": text,
        "vision_config": tower(shapes),
        "image_token_index": image,
    }
    if "mm_vision_select_layer" in settings:
        found["vision_feature_layer"] = settings["mm_vision_select_layer"]
    if "mm_vision_select_feature" in settings:
        whole = settings["mm_vision_select_feature"] == "cls_patch"
        found["vision_feature_select_strategy"] = "full" if whole else "default"
    vision = found["vision_config"]
    return found | {"image_seq_length": (vision["image_size"] // vision["patch_size"]) ** 2}


def tower(shapes: Shapes) -> dict[str, Any]:
    """The vision part, from its shapes."""
    width, channels, patch, _ = shapes[f"{TOWER}.embeddings.patch_embedding.weight"]
    places = shapes[f"{TOWER}.embeddings.position_embedding.weight"][0]
    return {
        "model_type": "clip_vision_model",
        "hidden_size": width,
        "intermediate_size": shapes[f"{TOWER}.encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": shapes.count(f"{TOWER}.encoder.layers.*.layer_norm1.weight"),
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "num_channels": channels,
        "patch_size": patch,
        "image_size": isqrt(places - 1) * patch,
        "projection_dim": 768,
    }


def restore(config: Any) -> dict[str, Any]:
    """The flat config of a nested one."""
    text = config.text_config
    types = {hub: own for own, hub in reversed(LANGUAGE.items())}
    settings = {name: getattr(text, name) for name in TEXT_KEYS if hasattr(text, name)}
    rows = first_placeholder(config)
    whole = config.vision_feature_select_strategy == "full"
    return settings | {
        "model_type": types.get(text.model_type, "llava"),
        "vocab_size": rows if text.vocab_size == rows + EXTRA_ROWS else text.vocab_size,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": config.vision_feature_layer,
        "mm_vision_select_feature": "cls_patch" if whole else "patch",
    }


ORIGINAL = Layout(
    architecture="LlavaForConditionalGeneration",
    storage=Indexed(settings_file="config.json", safe=True),
    steps=(Renames(NAMES), Placeholders("embed_tokens.weight"), Placeholders("lm_head.weight")),
    infer=infer,
    restore=restore,
    marks=("model.mm_projector.0.weight", "model.embed_tokens.weight"),
    strangers=("model.image_newline",),
    ignored=("model.layers.*.self_attn.rotary_emb.inv_freq", f"{TOWER}.embeddings.position_ids"),
    files={"tokenizer.model": "tokenizer.model"},
)
