"""SegFormer's original checkpoints: one pickled file, keys and values fused, parts counted from 1.

Heads and strides are in no shape; all published models have the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, Split, TorchFiles

STAGES = range(4)
LAYER = {
    "norm1.*": "layer_norm_1.*",
    "attn.q.*": "attention.self.query.*",
    "attn.key.*": "attention.self.key.*",
    "attn.value.*": "attention.self.value.*",
    "attn.sr.*": "attention.self.sr.*",
    "attn.norm.*": "attention.self.layer_norm.*",
    "attn.proj.*": "attention.output.dense.*",
    "norm2.*": "layer_norm_2.*",
    "mlp.fc1.*": "mlp.dense1.*",
    "mlp.dwconv.dwconv.*": "mlp.dwconv.dwconv.*",
    "mlp.fc2.*": "mlp.dense2.*",
}
HEAD = {
    "decode_head.linear_fuse.conv.weight": "decode_head.linear_fuse.weight",
    "decode_head.linear_fuse.bn.*": "decode_head.batch_norm.*",
    "decode_head.linear_pred.*": "decode_head.classifier.*",
}


def _body(theirs: str) -> dict[str, str]:
    """The encoder's names, which begin with `theirs` in the original."""
    table = {}
    for stage in STAGES:
        number, ours = stage + 1, "segformer.encoder"
        patches = f"{ours}.patch_embeddings.{stage}"
        table[f"{theirs}patch_embed{number}.proj.*"] = f"{patches}.proj.*"
        table[f"{theirs}patch_embed{number}.norm.*"] = f"{patches}.layer_norm.*"
        table[f"{theirs}norm{number}.*"] = f"{ours}.layer_norm.{stage}.*"
        for old, new in LAYER.items():
            table[f"{theirs}block{number}.*.{old}"] = f"{ours}.block.{stage}.*.{new}"
    return table


def _encoder_sizes(shapes: Shapes, theirs: str) -> dict[str, Any]:
    """The config of the encoder, from its shapes."""
    patches = [shapes[f"{theirs}patch_embed{stage + 1}.proj.weight"] for stage in STAGES]
    blocks = [f"{theirs}block{stage + 1}" for stage in STAGES]
    reducing = [f"{block}.0.attn.sr.weight" for block in blocks]
    inner = [shapes[f"{block}.0.mlp.fc1.weight"] for block in blocks]
    return {
        "num_channels": patches[0][1],
        "depths": [shapes.count(f"{block}.*.norm1.weight") for block in blocks],
        "sr_ratios": [shapes[name][-1] if name in shapes else 1 for name in reducing],
        "hidden_sizes": [shape[0] for shape in patches],
        "patch_sizes": [shape[-1] for shape in patches],
        "mlp_ratios": [rows // columns for rows, columns in inner],
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    labels, width, *_ = shapes["decode_head.linear_pred.weight"]
    sizes = {"num_labels": labels, "decoder_hidden_size": width}
    return sizes | _encoder_sizes(shapes, "backbone.")


def _infer_classifier(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    return {"num_labels": shapes["head.weight"][0], **_encoder_sizes(shapes, "")}


KEYS_AND_VALUES = tuple(
    Split(f"attn.kv.{kind}", (f"attn.key.{kind}", f"attn.value.{kind}"))
    for kind in ("weight", "bias")
)
SEGMENTER = Layout(
    architecture="SegformerForSemanticSegmentation",
    storage=TorchFiles(pattern="*.pth", name="segformer.pth", state=("state_dict",)),
    steps=(
        *KEYS_AND_VALUES,
        Renames(
            {
                **_body("backbone."),
                **HEAD,
                **{
                    f"decode_head.linear_c{n + 1}.proj.*": f"decode_head.linear_c.{n}.proj.*"
                    for n in STAGES
                },
            }
        ),
    ),
    infer=_infer,
    marks=("backbone.block1.*.attn.kv.weight", "decode_head.linear_pred.weight"),
    ignored=("decode_head.conv_seg.*",),  # of the class that the original derives its head from
)
CLASSIFIER = replace(
    SEGMENTER,
    architecture="SegformerForImageClassification",
    storage=TorchFiles(pattern="*.pth", name="mit.pth"),
    steps=(*KEYS_AND_VALUES, Renames({**_body(""), "head.*": "classifier.*"})),
    infer=_infer_classifier,
    marks=("block1.*.attn.kv.weight", "head.weight"),
    ignored=(),
)
