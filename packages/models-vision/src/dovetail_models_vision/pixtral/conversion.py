"""Mistral's release of Pixtral: ``params.json`` with ``consolidated.safetensors``, in which rotary
pairs are neighbours in the language model and in the vision part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, RotaryHalves, Shapes, TorchFiles
from dovetail.errors import CheckpointError
from dovetail_models_text.llama.conversion import ATTENTION, MLP
from dovetail_models_text.mistral.conversion import FIELDS, OPTIONAL

TOWER, LAYER = "vision_tower", "transformer.layers.*"
VISION = {
    f"{LAYER}.attention_norm.weight": f"{LAYER}.attention_norm.weight",
    f"{LAYER}.ffn_norm.weight": f"{LAYER}.ffn_norm.weight",
    **{f"{LAYER}.attention.w{x}.weight": f"{LAYER}.attention.{x}_proj.weight" for x in "qkvo"},
    f"{LAYER}.feed_forward.w1.weight": f"{LAYER}.feed_forward.gate_proj.weight",
    f"{LAYER}.feed_forward.w2.weight": f"{LAYER}.feed_forward.down_proj.weight",
    f"{LAYER}.feed_forward.w3.weight": f"{LAYER}.feed_forward.up_proj.weight",
    "patch_conv.weight": "patch_conv.weight",
    "ln_pre.weight": "ln_pre.weight",
}
NAMES = {
    **{f"vision_encoder.{theirs}": f"{TOWER}.{ours}" for theirs, ours in VISION.items()},
    "vision_language_adapter.w_in.*": "multi_modal_projector.linear_1.*",
    "vision_language_adapter.w_out.*": "multi_modal_projector.linear_2.*",
    **{theirs: f"language_model.{ours}" for theirs, ours in (ATTENTION | MLP).items()},
}
ENCODER = (
    "hidden_size",
    "num_channels",
    "image_size",
    "patch_size",
    "rope_theta",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)
"""Settings of the vision part, called the same in both configs."""
LONGEST = 1024000
"""Tokens of a text; no file says it."""
IMAGE_TOKEN = 10


def heads(part: str, name: str) -> Any:
    """How many heads a part of the config has."""
    return lambda config: getattr(getattr(config, part), name)


def infer(settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]) -> dict[str, Any]:
    """The config, from both halves of the settings."""
    encoder = settings.get("vision_encoder", {})
    missing = [name for name in FIELDS if name not in settings]
    missing += [f"vision_encoder.{name}" for name in ENCODER if name not in encoder]
    if missing:
        raise CheckpointError(
            f"params.json of the original lacks {', '.join(missing)}. Supply the file that was "
            "released with the weights."
        )
    known = {**FIELDS, **OPTIONAL}
    text = {ours: settings[theirs] for theirs, ours in known.items() if theirs in settings}
    text.setdefault("max_position_embeddings", LONGEST)
    text.setdefault("sliding_window", None)
    text |= {"model_type": "mistral", "vocab_size": shapes["tok_embeddings.weight"][0]}
    vision = {name: encoder[name] for name in ENCODER} | {"model_type": "pixtral"}
    return {
        "text_config": text,
        "vision_config": vision,
        "image_token_index": encoder.get("image_token_id", IMAGE_TOKEN),
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "image_seq_length": 1,
    }


def restore(config: Any) -> dict[str, Any]:
    """Both halves of the settings."""
    text, vision = config.text_config, config.vision_config
    found = {theirs: getattr(text, ours, None) for theirs, ours in {**FIELDS, **OPTIONAL}.items()}
    encoder = {name: getattr(vision, name) for name in ENCODER}
    encoder |= {"adapter_bias": True, "image_token_id": config.image_token_index}
    kept = {name: value for name, value in found.items() if value is not None}
    return {**kept, "vision_encoder": encoder}


MISTRAL = Layout(
    architecture="LlavaForConditionalGeneration",
    storage=TorchFiles(
        pattern="consolidated.safetensors",
        name="consolidated.safetensors",
        settings_file="params.json",
    ),
    steps=(
        Renames(NAMES),
        RotaryHalves("self_attn.q_proj.weight", heads("text_config", "num_attention_heads")),
        RotaryHalves("self_attn.k_proj.weight", heads("text_config", "num_key_value_heads")),
        *(
            RotaryHalves(
                f"{TOWER}.{LAYER}.attention.{x}_proj.weight",
                heads("vision_config", "num_attention_heads"),
            )
            for x in "qk"
        ),
    ),
    infer=infer,
    restore=restore,
    marks=("tok_embeddings.weight", "vision_encoder.patch_conv.weight"),
    keys=("vision_encoder",),
)
