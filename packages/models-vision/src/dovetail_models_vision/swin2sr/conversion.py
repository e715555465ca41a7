"""Swin2SR's original checkpoints: one pickled file; windows of 8 and colours from 0 to 1, which no
shape says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, Split, TorchFiles
from dovetail.mapping import Step

BLOCK, OURS = "layers.*.residual_group.blocks.*", "swin2sr.encoder.stages.*.layers.*"
ATTENTION = f"{BLOCK}.attn"
LAYER = {
    "attn.logit_scale": "attention.self.logit_scale",
    "attn.cpb_mlp.*.*": "attention.self.continuous_position_bias_mlp.*.*",
    "attn.query.weight": "attention.self.query.weight",
    "attn.key.weight": "attention.self.key.weight",
    "attn.value.weight": "attention.self.value.weight",
    "attn.q_bias": "attention.self.query.bias",
    "attn.v_bias": "attention.self.value.bias",
    "attn.proj.*": "attention.output.dense.*",
    "norm1.*": "layernorm_before.*",
    "norm2.*": "layernorm_after.*",
    "mlp.fc1.*": "intermediate.dense.*",
    "mlp.fc2.*": "output.dense.*",
}
BODY = {
    "conv_first.*": "swin2sr.first_convolution.*",
    "patch_embed.proj.*": "swin2sr.embeddings.patch_embeddings.projection.*",
    "patch_embed.norm.*": "swin2sr.embeddings.patch_embeddings.layernorm.*",
    "layers.*.conv.**": "swin2sr.encoder.stages.*.conv.**",
    "layers.*.patch_embed.proj.*": "swin2sr.encoder.stages.*.patch_embed.projection.*",
    "norm.*": "swin2sr.layernorm.*",
    "conv_after_body.*": "swin2sr.conv_after_body.*",
    **{f"{BLOCK}.{theirs}": f"{OURS}.{ours}" for theirs, ours in LAYER.items()},
}
HEAD = {
    "conv_before_upsample.0.*": "upsample.conv_before_upsample.*",
    "conv_bicubic.*": "upsample.conv_bicubic.*",
    "conv_aux.*": "upsample.conv_aux.*",
    "conv_after_aux.0.*": "upsample.conv_after_aux.0.*",
    "conv_up1.*": "upsample.conv_up1.*",
    "conv_up2.*": "upsample.conv_up2.*",
    "conv_hr.*": "upsample.conv_hr.*",
}


def _steps(config: Any) -> Sequence[Step]:
    final = "upsample.final_convolution" if config.upsampler else "final_convolution"
    head = {**HEAD, "conv_last.*": f"{final}.*"}
    if config.upsampler == "pixelshuffledirect":
        head["upsample.0.*"] = "upsample.conv.*"
    elif config.upscale == 3:
        head["upsample.0.*"] = "upsample.upsample.convolution.*"
    else:  # what lies between the convolutions has no weights
        for index in range(config.upscale.bit_length() - 1):
            head[f"upsample.{2 * index}.*"] = f"upsample.upsample.convolution_{index}.*"
    parts = tuple(f"attn.{part}.weight" for part in ("query", "key", "value"))
    return Split("attn.qkv.weight", parts), Renames({**BODY, **head})


def _head(shapes: Shapes, channels: int) -> dict[str, Any]:
    """Upsampler, factor and channels, from which convolutions there are."""
    direct = "conv_last.weight" not in shapes
    if direct:
        rows = shapes["upsample.0.weight"][0]
        scale = int((rows // channels) ** 0.5)
        return {"upsampler": "pixelshuffledirect", "upscale": scale, "num_channels_out": channels}
    made = {"num_channels_out": shapes["conv_last.weight"][0]}
    if "conv_up1.weight" in shapes:
        return {**made, "upsampler": "nearest+conv", "upscale": 4}
    if "conv_before_upsample.0.weight" not in shapes:
        return {**made, "upsampler": "", "upscale": 1}
    rows, columns, *_ = shapes["upsample.0.weight"]
    scale = 3 if rows == 9 * columns else 2 ** shapes.count("upsample.*.weight")
    auxiliary = "conv_aux.weight" in shapes
    return {
        **made, "upsampler": "pixelshuffle_aux" if auxiliary else "pixelshuffle", "upscale": scale
    }  # fmt: skip


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    width, channels, *_ = shapes["conv_first.weight"]
    stages = [f"layers.{n}.residual_group.blocks" for n in range(shapes.count(
        "layers.*.patch_embed.proj.weight"))]  # fmt: skip
    first = f"{stages[0]}.0"
    return {
        "num_channels": channels,
        "embed_dim": width,
        "depths": [shapes.count(f"{stage}.*.norm1.weight") for stage in stages],
        "num_heads": [shapes[f"{stage}.0.attn.logit_scale"][0] for stage in stages],
        "mlp_ratio": shapes[f"{first}.mlp.fc1.weight"][0] / width,
        "qkv_bias": f"{first}.attn.q_bias" in shapes,
        "resi_connection": "3conv" if "layers.0.conv.0.weight" in shapes else "1conv",
        **_head(shapes, channels),
    }


MV_LAB = Layout(
    architecture="Swin2SRForImageSuperResolution",
    storage=TorchFiles(pattern="*.pth", name="swin2sr.pth"),
    steps=_steps,
    infer=_infer,
    marks=("conv_first.weight", f"{ATTENTION}.logit_scale"),
    ignored=(
        f"{BLOCK}.attn_mask",
        f"{ATTENTION}.relative_coords_table",
        f"{ATTENTION}.relative_position_index",
    ),
)
