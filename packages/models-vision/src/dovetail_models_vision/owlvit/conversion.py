"""OWL-ViT's original checkpoints: scenic's, a tree of flax with CLIP as its backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import FlaxFiles, Layout, Renames, Shapes
from dovetail.mapping import Step
from dovetail_models_vision.siglip.conversion import convolved, dense, merged, norm, transposed

CLIP = "backbone/clip"
HALVES = {"text": "owlvit.text_model", "visual": "owlvit.vision_model"}
CONFIGS = {"text": "text_config", "visual": "vision_config"}
PARTS = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
MLP = {"c_fc": "fc1", "c_proj": "fc2"}
POSITIONS = "embeddings.position_embedding.weight"
PATCHES = "owlvit.vision_model.embeddings.patch_embedding.weight"
HEADS = (
    *(f"box_head.dense{number}" for number in range(3)),
    *(f"class_head.{name}" for name in ("dense0", "logit_shift", "logit_scale")),
)


def _names() -> dict[str, str]:
    text, visual = (f"{CLIP}/{half}" for half in HALVES)
    ours, seen = HALVES.values()
    table = {
        f"{CLIP}/logit_scale": "owlvit.logit_scale",
        f"{text}/token_embedding/embedding": f"{ours}.embeddings.token_embedding.weight",
        f"{text}/positional_embedding": f"{ours}.{POSITIONS}",
        f"{text}/text_projection/kernel": "owlvit.text_projection.weight",
        f"{visual}/class_embedding": f"{seen}.embeddings.class_embedding",
        f"{visual}/positional_embedding": f"{seen}.{POSITIONS}",
        f"{visual}/conv1/kernel": PATCHES,
        f"{visual}/proj/kernel": "owlvit.visual_projection.weight",
        **norm(f"{text}/ln_final", f"{ours}.final_layer_norm"),
        **norm(f"{visual}/ln_pre", f"{seen}.pre_layernorm"),
        **norm(f"{visual}/ln_post", f"{seen}.post_layernorm"),
        **norm("backbone/merged_class_token", "layer_norm"),
        **dense("class_head/Dense_0", "class_head.dense0"),
    }
    for name in ("logit_shift", "logit_scale"):
        table |= dense(f"class_head/{name}", f"class_head.{name}")
    for number in range(3):
        table |= dense(f"obj_box_head/Dense_{number}", f"box_head.dense{number}")
    for half, target in HALVES.items():
        block = f"{CLIP}/{half}/transformer/resblocks.*"
        layer = f"{target}.encoder.layers.*"
        table |= dense(f"{block}/attn/out", f"{layer}.self_attn.out_proj")
        for theirs, name in PARTS.items():
            table |= dense(f"{block}/attn/{theirs}", f"{layer}.self_attn.{name}")
        for theirs, name in MLP.items():
            table |= dense(f"{block}/mlp/{theirs}", f"{layer}.mlp.{name}")
        for number in (1, 2):
            table |= norm(f"{block}/ln_{number}", f"{layer}.layer_norm{number}")
    return table


def _steps() -> list[Step]:
    steps: list[Step] = [Renames(_names()), *convolved(PATCHES)]
    every = [*HEADS, "owlvit.text_projection", "owlvit.visual_projection"]
    for half, target in HALVES.items():
        layer = f"{target}.encoder.layers.*"
        steps += merged(f"{layer}.self_attn", tuple(PARTS.values()), CONFIGS[half])
        every += [f"{layer}.self_attn.{name}" for name in (*PARTS.values(), "out_proj")]
        every += [f"{layer}.mlp.{name}" for name in MLP.values()]
    return [*steps, *transposed(*every)]


def _half(shapes: Shapes, half: str) -> dict[str, Any]:
    block = f"{CLIP}/{half}/transformer/resblocks.*"
    first = block.replace("*", "0")
    width, heads, _ = shapes[f"{first}/attn/query/kernel"]
    return {
        "hidden_size": width,
        "intermediate_size": shapes[f"{first}/mlp/c_fc/kernel"][1],
        "num_hidden_layers": shapes.count(f"{block}/ln_1/scale"),
        "num_attention_heads": heads,
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    patch, _, channels, _ = shapes[f"{CLIP}/visual/conv1/kernel"]
    side = round((shapes[f"{CLIP}/visual/positional_embedding"][0] - 1) ** 0.5)
    vocabulary = shapes[f"{CLIP}/text/token_embedding/embedding"][0]
    return {
        "text_config": _half(shapes, "text")
        | {
            "vocab_size": vocabulary,
            "max_position_embeddings": shapes[f"{CLIP}/text/positional_embedding"][0],
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
        },
        "vision_config": _half(shapes, "visual")
        | {"num_channels": channels, "patch_size": patch, "image_size": side * patch},
        "projection_dim": shapes[f"{CLIP}/text/text_projection/kernel"][1],
    }


SCENIC = Layout(
    architecture="OwlViTForObjectDetection",
    storage=FlaxFiles(name="owlvit.msgpack", roots=(("optimizer", "target"), ("params",))),
    steps=_steps(),
    infer=_infer,
    marks=(f"{CLIP}/visual/conv1/kernel", "obj_box_head/Dense_0/kernel"),
)
