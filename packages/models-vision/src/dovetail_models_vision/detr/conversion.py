"""DETR's original checkpoints: one pickled file with a torchvision ResNet and fused projections.

Nothing in them says how many heads there are or where the ResNet is dilated; sizes are read from
the shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail.mapping import Split, Step

STATISTICS = ("weight", "bias", "running_mean", "running_var")
ATTENTIONS = {"self_attn": "self_attn", "multihead_attn": "encoder_attn"}
NORMS = {
    "encoder": ("self_attn_layer_norm", "final_layer_norm"),
    "decoder": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
}


def resnet_names(theirs: str, ours: str) -> dict[str, str]:
    """Names of a torchvision ResNet with frozen norms, `theirs`, and what they are in `ours`."""
    table = {}
    prefix = f"{theirs}." if theirs else ""

    def block(conv: str, norm: str, target: str) -> None:
        table[f"{prefix}{conv}.weight"] = f"{ours}.{target}.convolution.weight"
        for name in STATISTICS:
            table[f"{prefix}{norm}.{name}"] = f"{ours}.{target}.normalization.{name}"

    block("conv1", "bn1", "embedder.embedder")
    for stage in range(4):
        layer = f"layer{stage + 1}.*"
        target = f"encoder.stages.{stage}.layers.*"
        for part in range(3):
            block(f"{layer}.conv{part + 1}", f"{layer}.bn{part + 1}", f"{target}.layer.{part}")
        block(f"{layer}.downsample.0", f"{layer}.downsample.1", f"{target}.shortcut")
    return table


def resnet_sizes(shapes: Shapes, body: str) -> dict[str, Any]:
    """The config of the ResNet under the name `body`, from its shapes."""
    prefix = f"{body}." if body else ""
    deep = f"{prefix}layer1.0.conv3.weight" in shapes
    last = "conv3" if deep else "conv2"
    stages = range(1, 5)
    return {
        "model_type": "resnet",
        "embedding_size": shapes[f"{prefix}conv1.weight"][0],
        "hidden_sizes": [shapes[f"{prefix}layer{n}.0.{last}.weight"][0] for n in stages],
        "depths": [shapes.count(f"{prefix}layer{n}.*.conv1.weight") for n in stages],
        "layer_type": "bottleneck" if deep else "basic",
    }


def _names(theirs: str, ours: str) -> dict[str, str]:
    """The names of a detector, which begin with `theirs` there and with `ours` here."""
    body = f"{ours}model"
    table = resnet_names(f"{theirs}backbone.0.body", f"{body}.backbone.conv_encoder.model") | {
        f"{theirs}input_proj.*": f"{body}.input_projection.*",
        f"{theirs}query_embed.weight": f"{body}.query_position_embeddings.weight",
        f"{theirs}transformer.decoder.norm.*": f"{body}.decoder.layernorm.*",
        f"{theirs}class_embed.*": f"{ours}class_labels_classifier.*",
        f"{theirs}bbox_embed.**": f"{ours}bbox_predictor.**",
    }
    for stack, norms in NORMS.items():
        layer, target = f"{theirs}transformer.{stack}.layers.*", f"{body}.{stack}.layers.*"
        for number, norm in enumerate(norms, 1):
            table[f"{layer}.norm{number}.*"] = f"{target}.{norm}.*"
        for number in (1, 2):
            table[f"{layer}.linear{number}.*"] = f"{target}.fc{number}.*"
        for old, new in ATTENTIONS.items():
            table[f"{layer}.{old}.**"] = f"{target}.{new}.**"
    return table


def split_projections(*attentions: str) -> list[Step]:
    """torch's multi-head attention holds queries, keys and values in one matrix."""
    return [
        Split(
            f"{attention}.in_proj_{kind}",
            tuple(f"{attention}.{part}_proj.{kind}" for part in "qkv"),
        )
        for attention in attentions
        for kind in ("weight", "bias")
    ]


def _infer(prefix: str, stages: tuple[str, ...]) -> Any:
    def infer(
        settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        queries, width = shapes[f"{prefix}query_embed.weight"]
        layers = f"{prefix}transformer.{{}}.layers"
        return {
            "num_queries": queries,
            "d_model": width,
            "num_labels": shapes[f"{prefix}class_embed.weight"][0] - 1,
            "backbone_config": {
                **resnet_sizes(shapes, f"{prefix}backbone.0.body"),
                "out_features": list(stages),
            },
            **{
                f"{stack}_layers": shapes.count(f"{layers.format(stack)}.*.norm1.weight")
                for stack in NORMS
            },
            **{
                f"{stack}_ffn_dim": shapes[f"{layers.format(stack)}.0.linear1.weight"][0]
                for stack in NORMS
            },
        }

    return infer


DETECTOR = Layout(
    architecture="DetrForObjectDetection",
    storage=TorchFiles(pattern="*.pth", name="detr.pth", state=("model",)),
    steps=(*split_projections(*ATTENTIONS), Renames(_names("", ""))),
    constants={"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None},
    infer=_infer("", ("stage4",)),
    marks=("transformer.encoder.layers.*.self_attn.in_proj_weight", "query_embed.weight"),
    strangers=("transformer.encoder.layers.*.self_attn.sampling_offsets.weight",),
)
SEGMENTER = replace(
    DETECTOR,
    architecture="DetrForSegmentation",
    storage=TorchFiles(pattern="*.pth", name="detr-panoptic.pth", state=("model",)),
    steps=(
        *split_projections(*ATTENTIONS),
        Renames(
            {
                **_names("detr.", "detr."),
                "bbox_attention.**": "bbox_attention.**",
                "mask_head.**": "mask_head.**",
            }
        ),
    ),
    infer=_infer("detr.", ("stage1", "stage2", "stage3", "stage4")),
    marks=("detr.query_embed.weight", "mask_head.lay1.weight"),
)
