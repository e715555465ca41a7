"""DINOv2's original checkpoints: one pickled file with fused projections; heads are 64 wide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail_models_vision.vit.conversion import split_fused, tower_names, tower_sizes

BLOCK, LAYER = "blocks.*", "encoder.layer.*"
GATED = "blocks.0.mlp.w12.weight"
NAMES = tower_names("", "") | {
    "mask_token": "embeddings.mask_token",
    f"{BLOCK}.norm1.*": f"{LAYER}.norm1.*",
    f"{BLOCK}.norm2.*": f"{LAYER}.norm2.*",
    f"{BLOCK}.ls1.gamma": f"{LAYER}.layer_scale1.lambda1",
    f"{BLOCK}.ls2.gamma": f"{LAYER}.layer_scale2.lambda1",
    f"{BLOCK}.mlp.w12.*": f"{LAYER}.mlp.weights_in.*",
    f"{BLOCK}.mlp.w3.*": f"{LAYER}.mlp.weights_out.*",
    f"{BLOCK}.mlp.fc1.*": f"{LAYER}.mlp.fc1.*",
    f"{BLOCK}.mlp.fc2.*": f"{LAYER}.mlp.fc2.*",
}


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    sizes = tower_sizes(shapes, "")
    if GATED in shapes:
        return sizes | {"use_swiglu_ffn": True}
    return sizes | {"mlp_ratio": shapes["blocks.0.mlp.fc1.weight"][0] // sizes["hidden_size"]}


FACEBOOK = Layout(
    architecture="Dinov2Model",
    storage=TorchFiles(pattern="*.pth", name="dinov2.pth"),
    steps=(*split_fused(""), Renames(NAMES)),
    infer=_infer,
    marks=("cls_token", "pos_embed", "mask_token", "blocks.*.ls1.gamma"),
    strangers=("register_tokens",),
)
