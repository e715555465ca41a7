"""SAM's original checkpoints: one pickled file, whose shapes say all sizes but the number of the
mask decoder's heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles

BLOCK = "image_encoder.blocks.*"
NECK = ("conv1", "layer_norm1", "conv2", "layer_norm2")
MASK_PROMPT = {0: "conv1", 1: "layer_norm1", 3: "conv2", 4: "layer_norm2", 6: "conv3"}
UPSCALING = {0: "upscale_conv1", 1: "upscale_layer_norm", 3: "upscale_conv2"}
HEAD = ("proj_in", "layers.0", "proj_out")
HEADS = ("mask_decoder.iou_prediction_head", "mask_decoder.output_hypernetworks_mlps.*")
PLACES = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
UNCHANGED = (
    "prompt_encoder.not_a_point_embed.weight",
    "prompt_encoder.no_mask_embed.weight",
    "mask_decoder.iou_token.weight",
    "mask_decoder.mask_tokens.weight",
)


def _names() -> dict[str, str]:
    """The original's names, and ours."""
    blocks, layers = "mask_decoder.transformer.layers.*", "vision_encoder.layers.*"
    table = {name: name for name in UNCHANGED} | {
        PLACES: "shared_image_embedding.positional_embedding",
        "prompt_encoder.point_embeddings.*.weight": "prompt_encoder.point_embed.*.weight",
        "image_encoder.pos_embed": "vision_encoder.pos_embed",
        "image_encoder.patch_embed.proj.*": "vision_encoder.patch_embed.projection.*",
        "mask_decoder.transformer.norm_final_attn.*": (
            "mask_decoder.transformer.layer_norm_final_attn.*"
        ),
    }
    for part in ("attn", "mlp"):
        table[f"{BLOCK}.{part}.**"] = f"{layers}.{part}.**"
    for number in (1, 2):
        table[f"{BLOCK}.norm{number}.*"] = f"{layers}.layer_norm{number}.*"
    for number in (1, 2, 3, 4):
        table[f"{blocks}.norm{number}.*"] = f"{blocks}.layer_norm{number}.*"
    for part in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token", "mlp"):
        table[f"{blocks}.{part}.**"] = f"{blocks}.{part}.**"
    last = "mask_decoder.transformer.final_attn_token_to_image.**"
    table[last] = last
    for index, name in enumerate(NECK):
        table[f"image_encoder.neck.{index}.*"] = f"vision_encoder.neck.{name}.*"
    for index, name in MASK_PROMPT.items():
        table[f"prompt_encoder.mask_downscaling.{index}.*"] = f"prompt_encoder.mask_embed.{name}.*"
    for index, name in UPSCALING.items():
        table[f"mask_decoder.output_upscaling.{index}.*"] = f"mask_decoder.{name}.*"
    for head in HEADS:
        for index, name in enumerate(HEAD):
            table[f"{head}.layers.{index}.*"] = f"{head}.{name}.*"
    return table


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The config, from the shapes."""
    width, channels, patch, _ = shapes["image_encoder.patch_embed.proj.weight"]
    image_size = shapes["image_encoder.pos_embed"][1] * patch
    output, places = shapes["image_encoder.neck.0.weight"][0], shapes[PLACES][1]
    layers = shapes.count(f"{BLOCK}.norm1.weight")
    spans = [shapes[f"image_encoder.blocks.{n}.attn.rel_pos_h"] for n in range(layers)]
    shortest = min(spans)[0]
    return {
        "vision_config": {
            "hidden_size": width,
            "output_channels": output,
            "num_hidden_layers": layers,
            "num_attention_heads": width // spans[0][1],
            "num_channels": channels,
            "image_size": image_size,
            "patch_size": patch,
            "window_size": (shortest + 1) // 2,
            "global_attn_indexes": [n for n, span in enumerate(spans) if span[0] > shortest],
            "num_pos_feats": places,
            "mlp_dim": shapes["image_encoder.blocks.0.mlp.lin1.weight"][0],
        },
        "prompt_encoder_config": {
            "hidden_size": output,
            "image_size": image_size,
            "patch_size": patch,
            "mask_input_channels": shapes["prompt_encoder.mask_downscaling.3.weight"][0],
            "num_point_embeddings": shapes.count("prompt_encoder.point_embeddings.*.weight"),
        },
        "mask_decoder_config": {
            "hidden_size": output,
            "mlp_dim": shapes["mask_decoder.transformer.layers.0.mlp.lin1.weight"][0],
            "num_hidden_layers": shapes.count("mask_decoder.transformer.layers.*.norm1.weight"),
            "num_multimask_outputs": shapes["mask_decoder.mask_tokens.weight"][0] - 1,
            "iou_head_hidden_dim": shapes["mask_decoder.iou_prediction_head.layers.0.weight"][0],
        },
    }


FACEBOOK = Layout(
    architecture="SamModel",
    storage=TorchFiles(pattern="*.pth", name="sam.pth"),
    steps=(Renames(_names()),),
    infer=_infer,
    marks=(f"{BLOCK}.attn.rel_pos_h", PLACES),
)
