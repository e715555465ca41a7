"""Mask2Former's checkpoints of detectron2: one pickled file of tensors (``model_final.pth``), with
detectron2's ResNet or Microsoft's Swin.

No shape says how many heads there are, nor the loss's weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, Split, TorchFiles
from dovetail.mapping import Step
from dovetail_models_vision.swin.conversion import SPLITS, swin_names, swin_sizes

BACKBONE = "model.pixel_level_module.encoder."
PIXELS, OURS = "sem_seg_head.pixel_decoder", "model.pixel_level_module.decoder"
PREDICTOR, QUERIES = "sem_seg_head.predictor", "model.transformer_module"
SWIN, STEM = "backbone.patch_embed.proj.weight", "backbone.stem.conv1.weight"
STATISTICS = ("weight", "bias", "running_mean", "running_var")
STAGES = ("stage1", "stage2", "stage3", "stage4")
SELF = f"{PREDICTOR}.transformer_self_attention_layers.*"
LAYERS = f"{QUERIES}.decoder.layers.*"


def _encoder() -> dict[str, str]:
    """The names of the pixel decoder."""
    theirs, ours = f"{PIXELS}.transformer.encoder.layers.*", f"{OURS}.encoder.layers.*"
    return {
        f"{PIXELS}.input_proj.*.*.*": f"{OURS}.input_projections.*.*.*",
        f"{PIXELS}.transformer.level_embed": f"{OURS}.level_embed",
        f"{theirs}.self_attn.*.*": f"{ours}.self_attn.*.*",
        f"{theirs}.norm1.*": f"{ours}.self_attn_layer_norm.*",
        f"{theirs}.linear1.*": f"{ours}.fc1.*",
        f"{theirs}.linear2.*": f"{ours}.fc2.*",
        f"{theirs}.norm2.*": f"{ours}.final_layer_norm.*",
        f"{PIXELS}.mask_features.*": f"{OURS}.mask_projection.*",
        f"{PIXELS}.adapter_*.norm.*": f"{OURS}.adapter_*.1.*",
        f"{PIXELS}.layer_*.norm.*": f"{OURS}.layer_*.1.*",
        f"{PIXELS}.adapter_*.weight": f"{OURS}.adapter_*.0.weight",
        f"{PIXELS}.layer_*.weight": f"{OURS}.layer_*.0.weight",
    }


def _decoder() -> dict[str, str]:
    """The names of the transformer decoder and the heads."""
    cross = f"{PREDICTOR}.transformer_cross_attention_layers.*"
    inner = f"{PREDICTOR}.transformer_ffn_layers.*"
    return {
        f"{SELF}.self_attn.**": f"{LAYERS}.self_attn.**",
        f"{SELF}.norm.*": f"{LAYERS}.self_attn_layer_norm.*",
        f"{cross}.multihead_attn.**": f"{LAYERS}.cross_attn.**",
        f"{cross}.norm.*": f"{LAYERS}.cross_attn_layer_norm.*",
        f"{inner}.linear1.*": f"{LAYERS}.fc1.*",
        f"{inner}.linear2.*": f"{LAYERS}.fc2.*",
        f"{inner}.norm.*": f"{LAYERS}.final_layer_norm.*",
        f"{PREDICTOR}.decoder_norm.*": f"{QUERIES}.decoder.layernorm.*",
        f"{PREDICTOR}.query_feat.weight": f"{QUERIES}.queries_features.weight",
        f"{PREDICTOR}.query_embed.weight": f"{QUERIES}.queries_embedder.weight",
        f"{PREDICTOR}.level_embed.weight": f"{QUERIES}.level_embed.weight",
        f"{PREDICTOR}.input_proj.*.*": f"{QUERIES}.input_projections.*.*",
        f"{PREDICTOR}.class_embed.*": "class_predictor.*",
        f"{PREDICTOR}.mask_embed.layers.*.*": (
            f"{QUERIES}.decoder.mask_predictor.mask_embedder.*.0.*"
        ),
        "criterion.empty_weight": "criterion.empty_weight",
    }


def _swin() -> dict[str, str]:
    norms = {
        f"backbone.norm{number}.*": f"{BACKBONE}hidden_states_norms.{stage}.*"
        for number, stage in enumerate(STAGES)
    }
    return {**swin_names("backbone.", BACKBONE), **norms}


def _resnet() -> dict[str, str]:
    """detectron2's ResNet, whose norms lie inside its convolutions."""
    table = {}

    def block(theirs: str, ours: str) -> None:
        table[f"{theirs}.weight"] = f"{ours}.convolution.weight"
        for name in STATISTICS:
            table[f"{theirs}.norm.{name}"] = f"{ours}.normalization.{name}"
        counted = "num_batches_tracked"
        table[f"{theirs}.norm.{counted}"] = f"{ours}.normalization.{counted}"

    block("backbone.stem.conv1", f"{BACKBONE}embedder.embedder")
    for stage in range(len(STAGES)):
        theirs, ours = f"backbone.res{stage + 2}.*", f"{BACKBONE}encoder.stages.{stage}.layers.*"
        block(f"{theirs}.shortcut", f"{ours}.shortcut")
        for part in range(3):
            block(f"{theirs}.conv{part + 1}", f"{ours}.layer.{part}")
    return table


def _steps(config: Any) -> Sequence[Step]:
    backbone = _swin() if config.backbone_config.model_type == "swin" else _resnet()
    fused = tuple(
        Split(
            f"transformer_self_attention_layers.*.self_attn.in_proj_{kind}",
            tuple(
                f"transformer_self_attention_layers.*.self_attn.{part}_proj.{kind}"
                for part in "qkv"
            ),
        )
        for kind in ("weight", "bias")
    )
    return *fused, *SPLITS, Renames({**backbone, **_encoder(), **_decoder()})


def _resnet_sizes(shapes: Shapes) -> dict[str, Any]:
    """The config of a ResNet, from its shapes."""
    stages = [f"backbone.res{number + 2}" for number in range(len(STAGES))]
    deep = f"{stages[0]}.0.conv3.weight" in shapes
    last = "conv3" if deep else "conv2"
    return {
        "model_type": "resnet",
        "embedding_size": shapes[STEM][0],
        "hidden_sizes": [shapes[f"{stage}.0.{last}.weight"][0] for stage in stages],
        "depths": [shapes.count(f"{stage}.*.conv1.weight") for stage in stages],
        "layer_type": "bottleneck" if deep else "basic",
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    own = (
        {"model_type": "swin", **swin_sizes(shapes, "backbone.")}
        if SWIN in shapes
        else _resnet_sizes(shapes)
    )
    layer = f"{PIXELS}.transformer.encoder.layers"
    masks, width, *_ = shapes[f"{PIXELS}.mask_features.weight"]
    queries, hidden = shapes[f"{PREDICTOR}.query_feat.weight"]
    projected = f"{PREDICTOR}.input_proj.0.weight" in shapes
    return {
        "backbone_config": {**own, "out_features": list(STAGES)},
        "feature_size": width,
        "mask_feature_size": masks,
        "hidden_dim": hidden,
        "encoder_feedforward_dim": shapes[f"{layer}.0.linear1.weight"][0],
        "encoder_layers": shapes.count(f"{layer}.*.norm1.weight"),
        "decoder_layers": shapes.count(f"{SELF}.norm.weight") + 1,
        "dim_feedforward": shapes[f"{PREDICTOR}.transformer_ffn_layers.0.linear1.weight"][0],
        "num_queries": queries,
        "num_labels": shapes[f"{PREDICTOR}.class_embed.weight"][0] - 1,
        "enforce_input_projection": projected and hidden == width,
    }


DETECTRON2 = Layout(
    architecture="Mask2FormerForUniversalSegmentation",
    storage=TorchFiles(pattern="*.pth", name="model_final.pth", state=("model",)),
    steps=_steps,
    infer=_infer,
    marks=(f"{PIXELS}.transformer.level_embed", f"{PREDICTOR}.query_feat.weight"),
    ignored=("backbone.layers.*.blocks.*.attn_mask", "pixel_mean", "pixel_std"),
)
