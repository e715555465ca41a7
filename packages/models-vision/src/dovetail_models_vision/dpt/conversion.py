"""DPT's original checkpoints: one pickled file with a timm ViT, whose stages are counted from 1.

Heads are 64 wide in all of them, and the layers that are fused are evenly spaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, Split, TorchFiles
from dovetail.mapping import Step
from dovetail_models_vision.dpt.configuration import HYBRID

HEAD_WIDTH = 64
VIT, SCRATCH = "pretrained.model", "scratch"
BACKBONE = f"{VIT}.patch_embed.backbone"
STEM = f"{BACKBONE}.stem.conv.weight"
STAGES = range(4)
BLOCK = {
    "norm1.*": "layernorm_before.*",
    "attn.query.*": "attention.attention.query.*",
    "attn.key.*": "attention.attention.key.*",
    "attn.value.*": "attention.attention.value.*",
    "attn.proj.*": "attention.output.dense.*",
    "norm2.*": "layernorm_after.*",
    "mlp.fc1.*": "intermediate.dense.*",
    "mlp.fc2.*": "output.dense.*",
}
UNIT = {"conv*.*": "convolution*.*", "bn*.*": "batch_norm*.*"}


def _body(hybrid: bool) -> dict[str, str]:
    """The names of the ViT and, in a hybrid, of its backbone."""
    patches = (
        "dpt.embeddings.projection" if hybrid else "dpt.embeddings.patch_embeddings.projection"
    )
    bit = "dpt.embeddings.backbone.bit"
    return {
        f"{VIT}.cls_token": "dpt.embeddings.cls_token",
        f"{VIT}.pos_embed": "dpt.embeddings.position_embeddings",
        f"{VIT}.patch_embed.proj.*": f"{patches}.*",
        f"{BACKBONE}.stem.conv.weight": f"{bit}.embedder.convolution.weight",
        f"{BACKBONE}.stem.norm.*": f"{bit}.embedder.norm.*",
        f"{BACKBONE}.stages.*.blocks.**": f"{bit}.encoder.stages.*.layers.**",
        f"{VIT}.norm.*": "dpt.layernorm.*",
        **{f"{VIT}.blocks.*.{old}": f"dpt.encoder.layer.*.{new}" for old, new in BLOCK.items()},
    }


def _neck() -> dict[str, str]:
    """The names of neck and heads."""
    table = {
        f"{SCRATCH}.output_conv.*.*": "head.head.*.*",
        "auxlayer.*.*": "auxiliary_head.head.*.*",
    }
    for stage in STAGES:
        made = f"pretrained.act_postprocess{stage + 1}"
        ours = f"neck.reassemble_stage.layers.{stage}"
        project = f"neck.reassemble_stage.readout_projects.{stage}.0.*"
        table[f"{made}.0.project.0.*"] = project
        table[f"{made}.3.*"] = f"{ours}.projection.*"
        table[f"{made}.4.*"] = f"{ours}.resize.*"
        table[f"{SCRATCH}.layer{stage + 1}_rn.weight"] = f"neck.convs.{stage}.weight"
        fusing = f"{SCRATCH}.refinenet{len(STAGES) - stage}"
        fused = f"neck.fusion_stage.layers.{stage}"
        table[f"{fusing}.out_conv.*"] = f"{fused}.projection.*"
        for unit in (1, 2):
            for old, new in UNIT.items():
                table[f"{fusing}.resConfUnit{unit}.{old}"] = f"{fused}.residual_layer{unit}.{new}"
    return table


def _steps(config: Any) -> Sequence[Step]:
    parts = ("query", "key", "value")
    return (
        *(
            Split(f"attn.qkv.{kind}", tuple(f"attn.{part}.{kind}" for part in parts))
            for kind in ("weight", "bias")
        ),
        Renames({**_body(config.is_hybrid), **_neck()}),
    )


def _backbone_sizes(shapes: Shapes) -> dict[str, Any]:
    """The config of a hybrid's backbone."""
    width, channels = shapes[STEM][:2]
    count = shapes.count(f"{BACKBONE}.stages.*.blocks.0.conv3.weight")
    stages = [f"{BACKBONE}.stages.{number}.blocks" for number in range(count)]
    return {
        **HYBRID,
        "model_type": "bit",
        "num_channels": channels,
        "embedding_size": width,
        "hidden_sizes": [shapes[f"{stage}.0.conv3.weight"][0] for stage in stages],
        "depths": [shapes.count(f"{stage}.*.conv3.weight") for stage in stages],
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    width, last, *kernel = shapes[f"{VIT}.patch_embed.proj.weight"]
    side = int((shapes[f"{VIT}.pos_embed"][1] - 1) ** 0.5)
    layers = shapes.count(f"{VIT}.blocks.*.norm1.weight")
    neck = [shapes[f"{SCRATCH}.layer{stage + 1}_rn.weight"] for stage in STAGES]
    sizes: dict[str, Any] = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "intermediate_size": shapes[f"{VIT}.blocks.0.mlp.fc1.weight"][0],
        "backbone_out_indices": [layers * (stage + 1) // len(STAGES) - 1 for stage in STAGES],
        "neck_hidden_sizes": [shape[1] for shape in neck],
        "fusion_hidden_size": neck[0][0],
    }
    if STEM not in shapes:
        patch = kernel[0]
        return {**sizes, "num_channels": last, "patch_size": patch, "image_size": side * patch}
    return sizes | {
        "is_hybrid": True,
        "image_size": side * 16,
        "patch_size": 16,
        "reassemble_factors": [1, 1, 1, 0.5],
        "backbone_featmap_shape": [1, last, side, side],
        "backbone_config": _backbone_sizes(shapes),
    }


def _infer_segmenter(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **_infer(settings, shapes, values),
        "num_labels": shapes[f"{SCRATCH}.output_conv.4.weight"][0],
        "use_auxiliary_head": "auxlayer.0.weight" in shapes,
    }


DEPTH = Layout(
    architecture="DPTForDepthEstimation",
    storage=TorchFiles(pattern="*.pt", name="dpt-midas.pt"),
    steps=_steps,
    infer=_infer,
    marks=(f"{VIT}.pos_embed", f"{SCRATCH}.refinenet1.out_conv.weight",
           f"{SCRATCH}.output_conv.2.weight"),
    ignored=(f"{VIT}.head.*",),
)  # fmt: skip
SEGMENTER = replace(
    DEPTH,
    architecture="DPTForSemanticSegmentation",
    storage=TorchFiles(pattern="*.pt", name="dpt-ade20k.pt"),
    constants={"use_batch_norm_in_fusion_residual": True},
    infer=_infer_segmenter,
    marks=(*DEPTH.marks[:2], f"{SCRATCH}.output_conv.1.running_mean"),
)
