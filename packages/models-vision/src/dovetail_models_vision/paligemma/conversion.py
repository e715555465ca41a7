"""PaliGemma's original checkpoints: arrays of big_vision, in which all layers of a kind are one.

Of Gemma's layers queries have an axis for heads, keys and values are one array, and so are both
halves of the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import (
    Layout,
    NumpyArchive,
    Renames,
    Reshape,
    Reversed,
    Shapes,
    Transpose,
    squeeze,
)
from dovetail.mapping import Split, Stack, Step
from dovetail_models_vision.siglip.conversion import (
    ATTENTION,
    ODD_SIZES,
    PARTS,
    convolved,
    dense,
    merged,
    norm,
    transposed,
)

IMAGE, TEXT = "params/img", "params/llm"
BLOCK, LAYERS = f"{IMAGE}/Transformer/encoderblock", f"{TEXT}/layers"
TOWER, DECODER = "vision_tower.vision_model", "language_model.model"
ENCODER_LAYER, DECODER_LAYER = f"{TOWER}.encoder.layers", f"{DECODER}.layers"
PATCHES = f"{TOWER}.embeddings.patch_embedding.weight"
POSITIONS = f"{TOWER}.embeddings.position_embedding.weight"
PROJECTOR = "multi_modal_projector.linear"
"""Between the parts."""


def _encoder() -> dict[str, str]:
    """Names within the stacked layers of the vision part, and within one layer."""
    table: dict[str, str] = {}
    for number in (0, 1):
        table |= norm(f"LayerNorm_{number}", f"layer_norm{number + 1}")
        table |= dense(f"MlpBlock_0/Dense_{number}", f"mlp.fc{number + 1}")
    for theirs, ours in {**PARTS, "out": "out_proj"}.items():
        table |= dense(f"{ATTENTION}/{theirs}", f"self_attn.{ours}")
    return table


DECODER_NAMES = {
    "attn/q_einsum/w": "self_attn.q_proj.weight",
    "attn/kv_einsum/w": "self_attn.kv_proj.weight",
    "attn/attn_vec_einsum/w": "self_attn.o_proj.weight",
    "mlp/gating_einsum": "mlp.gate_up_proj.weight",
    "mlp/linear": "mlp.down_proj.weight",
    "pre_attention_norm/scale": "input_layernorm.weight",
    "pre_ffw_norm/scale": "post_attention_layernorm.weight",
}
ENCODER_NAMES = _encoder()
NAMES = {
    f"{IMAGE}/pos_embedding": POSITIONS,
    **dense(f"{IMAGE}/embedding", f"{TOWER}.embeddings.patch_embedding"),
    **norm(f"{IMAGE}/Transformer/encoder_norm", f"{TOWER}.post_layernorm"),
    **dense(f"{IMAGE}/head", PROJECTOR),
    f"{TEXT}/embedder/input_embedding": f"{DECODER}.embed_tokens.weight",
    f"{TEXT}/final_norm/scale": f"{DECODER}.norm.weight",
    **{f"{BLOCK}/{theirs}": f"{ENCODER_LAYER}.{ours}" for theirs, ours in ENCODER_NAMES.items()},
    **{f"{LAYERS}/{theirs}": f"{DECODER_LAYER}.{ours}" for theirs, ours in DECODER_NAMES.items()},
}


def _attention(name: str) -> str:
    return f"{DECODER_LAYER}.*.self_attn.{name}.weight"


def _gemma() -> list[Step]:
    """One of Gemma's layers."""
    gates = tuple(f"{DECODER_LAYER}.*.mlp.{part}_proj.weight" for part in ("gate", "up"))
    pairs = tuple(_attention(part) for part in ("k_proj", "v_proj"))
    heads = [
        Reshape(  # (heads, width of a head, D), of queries once their last axes are exchanged
            _attention(part),
            lambda _, shape: (shape[0] * shape[1], shape[2]),
            lambda config, shape: (
                shape[0] // config.text_config.head_dim,
                config.text_config.head_dim,
                shape[1],
            ),
        )
        for part in ("q_proj", "k_proj", "v_proj", "o_proj")
    ]
    return [
        Split(_attention("kv_proj"), pairs),
        *(squeeze(pair) for pair in pairs),
        *(Transpose(_attention(part), (1, 2)) for part in ("q_proj", "k_proj", "v_proj")),
        *heads,
        Transpose(_attention("o_proj")),
        Split(f"{DECODER_LAYER}.*.mlp.gate_up_proj.weight", gates),
        *(squeeze(gate) for gate in gates),
        *(Transpose(gate) for gate in gates),
        Transpose(f"{DECODER_LAYER}.*.mlp.down_proj.weight"),
    ]


def _steps() -> list[Step]:
    stacks = [(ENCODER_LAYER, name) for name in ENCODER_NAMES.values()]
    stacks += [(DECODER_LAYER, name) for name in DECODER_NAMES.values()]
    layer = f"{ENCODER_LAYER}.*"
    parts = (*PARTS.values(), "out_proj")
    return [
        Renames(NAMES),
        *(Reversed(Stack(f"{where}.#.{name}", f"{where}.{name}")) for where, name in stacks),
        squeeze(POSITIONS),
        *convolved(PATCHES),
        *merged(f"{layer}.self_attn", tuple(PARTS.values()), "vision_config"),
        *transposed(
            PROJECTOR,
            *(f"{layer}.self_attn.{part}" for part in parts),
            *(f"{layer}.mlp.fc{number}" for number in (1, 2)),
        ),
        *_gemma(),
    ]


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    patch, _, channels, _ = shapes[f"{IMAGE}/embedding/kernel"]
    count = shapes[f"{IMAGE}/pos_embedding"][1]
    layers, width, heads, _ = shapes[f"{BLOCK}/{ATTENTION}/query/kernel"]
    depth, queries, hidden, head = shapes[f"{LAYERS}/attn/q_einsum/w"]
    vocabulary = shapes[f"{TEXT}/embedder/input_embedding"][0]
    return {
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": width,
            "intermediate_size": shapes[f"{BLOCK}/MlpBlock_0/Dense_0/kernel"][2],
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_channels": channels,
            "patch_size": patch,
            "image_size": ODD_SIZES.get((patch, count)) or round(count**0.5) * patch,
            "vision_use_head": False,
        },
        "text_config": {
            "model_type": "gemma",
            "vocab_size": vocabulary,
            "hidden_size": hidden,
            "intermediate_size": shapes[f"{LAYERS}/mlp/gating_einsum"][3],
            "num_hidden_layers": depth,
            "num_attention_heads": queries,
            "num_key_value_heads": shapes[f"{LAYERS}/attn/kv_einsum/w"][2],
            "head_dim": head,
        },
        "hidden_size": hidden,
        "projection_dim": hidden,
        "vocab_size": vocabulary,
    }


BIG_VISION = Layout(
    architecture="PaliGemmaForConditionalGeneration",
    storage=NumpyArchive(name="paligemma.npz"),
    steps=_steps(),
    infer=_infer,
    marks=(f"{TEXT}/embedder/input_embedding", f"{IMAGE}/head/kernel"),
    ignored=("opt/**", "chrono/**"),
)
