"""Salesforce's original checkpoints of BLIP: one pickled file, whose shapes say all sizes but the
number of heads, each of which is 64 wide in all releases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles

HEAD_WIDTH = 64
BLOCK = "visual_encoder.blocks.*"
LAYER = "vision_model.encoder.layers.*"
MOMENTUM = ("*_m.**", "*_queue", "idx_queue", "queue_ptr", "ptr_queue", "temp")
"""What only training needs."""
VISION = {
    "visual_encoder.cls_token": "vision_model.embeddings.class_embedding",
    "visual_encoder.pos_embed": "vision_model.embeddings.position_embedding",
    "visual_encoder.patch_embed.proj.*": "vision_model.embeddings.patch_embedding.*",
    f"{BLOCK}.norm1.*": f"{LAYER}.layer_norm1.*",
    f"{BLOCK}.norm2.*": f"{LAYER}.layer_norm2.*",
    f"{BLOCK}.attn.qkv.*": f"{LAYER}.self_attn.qkv.*",
    f"{BLOCK}.attn.proj.*": f"{LAYER}.self_attn.projection.*",
    f"{BLOCK}.mlp.**": f"{LAYER}.mlp.**",
    "visual_encoder.norm.*": "vision_model.post_layernorm.*",
}


def vision_sizes(shapes: Shapes, heads: Mapping[int, int] | None = None) -> dict[str, Any]:
    """The config of the image encoder, from its shapes; `heads` by width, else of 64."""
    width, _, patch, _ = shapes["visual_encoder.patch_embed.proj.weight"]
    side = round((shapes["visual_encoder.pos_embed"][1] - 1) ** 0.5)
    return {
        "hidden_size": width,
        "intermediate_size": shapes["visual_encoder.blocks.0.mlp.fc1.weight"][0],
        "num_hidden_layers": shapes.count(f"{BLOCK}.norm1.weight"),
        "num_attention_heads": (heads or {}).get(width) or max(width // HEAD_WIDTH, 1),
        "image_size": side * patch,
        "patch_size": patch,
    }


def _infer(body: str) -> Any:
    """What makes the config; `body` is where a stack of the text begins."""

    def infer(
        settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        vocabulary, width = shapes[f"{body}.embeddings.word_embeddings.weight"]
        text = {
            "vocab_size": vocabulary,
            "hidden_size": width,
            "intermediate_size": shapes[f"{body}.encoder.layer.0.intermediate.dense.weight"][0],
            "num_hidden_layers": shapes.count(f"{body}.encoder.layer.*.intermediate.dense.weight"),
            "num_attention_heads": max(width // HEAD_WIDTH, 1),
            "max_position_embeddings": shapes[f"{body}.embeddings.position_embeddings.weight"][0],
        }
        found: dict[str, Any] = {"text_config": text, "vision_config": vision_sizes(shapes)}
        if "text_proj.weight" in shapes:
            found["image_text_hidden_size"] = shapes["text_proj.weight"][0]
        return found

    return infer


def _layout(
    architecture: str, parts: tuple[str, ...], body: str, marks: tuple[str, ...], **rest: Any
) -> Layout:
    """The layout of one class; `parts` are kept under their own names."""
    return Layout(
        architecture=architecture,
        storage=TorchFiles(pattern="*.pth", name="model.pth", state=("model",)),
        steps=(Renames(VISION | {f"{part}.**": f"{part}.**" for part in parts}),),
        infer=_infer(body),
        marks=("visual_encoder.cls_token", f"{body}.embeddings.word_embeddings.weight", *marks),
        copies={
            "text_decoder.cls.predictions.bias": (
                "text_decoder.cls.predictions.bias",
                "text_decoder.cls.predictions.decoder.bias",
            )
        },
        ignored=("*.embeddings.position_ids", "*.bert.embeddings.position_ids", *MOMENTUM),
        **rest,
    )


CAPTIONING = _layout(
    "BlipForConditionalGeneration",
    ("text_decoder",),
    "text_decoder.bert",
    ("text_decoder.cls.predictions.bias",),
    strangers=("text_encoder.embeddings.word_embeddings.weight",),
)
ANSWERING = _layout(
    "BlipForQuestionAnswering",
    ("text_encoder", "text_decoder"),
    "text_encoder",
    ("text_decoder.cls.predictions.bias",),
    strangers=("itm_head.weight",),
)
RETRIEVAL = _layout(
    "BlipForImageTextRetrieval",
    ("text_encoder", "vision_proj", "text_proj", "itm_head"),
    "text_encoder",
    ("itm_head.weight",),
    strangers=("text_decoder.cls.predictions.bias",),
)
