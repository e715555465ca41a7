"""SigLIP's original checkpoints: arrays of big_vision, named by their place in a tree.

Dense layers are stored input by input, those of attention with an axis for the heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dovetail.converting import (
    Concatenate,
    Layout,
    NumpyArchive,
    Renames,
    Reshape,
    Shapes,
    Transpose,
    squeeze,
)
from dovetail.mapping import Step

IMAGE, TEXT = "params/img", "params/txt"
IMAGE_BLOCK = f"{IMAGE}/Transformer/encoderblock_*"
TEXT_BLOCK = f"{TEXT}/Encoder_0/encoderblock_*"
IMAGE_LAYER = "vision_model.encoder.layers.*"
TEXT_LAYER = "text_model.encoder.layers.*"
PATCHES = "vision_model.embeddings.patch_embedding.weight"
POSITIONS = "embeddings.position_embedding.weight"
POOL, HEAD = f"{IMAGE}/MAPHead_0", "vision_model.head"
ATTENTION = "MultiHeadDotProductAttention_0"
PARTS = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
ODD_SIZES = {(14, 729): 384}
"""Images that are no multiple of their patches: by size of patches, and how many there are."""


def dense(theirs: str, ours: str) -> dict[str, str]:
    """The names of a dense layer of flax."""
    return {f"{theirs}/kernel": f"{ours}.weight", f"{theirs}/bias": f"{ours}.bias"}


def norm(theirs: str, ours: str) -> dict[str, str]:
    """The names of a norm of flax."""
    return {f"{theirs}/scale": f"{ours}.weight", f"{theirs}/bias": f"{ours}.bias"}


def _mlp(theirs: str, ours: str) -> dict[str, str]:
    table: dict[str, str] = {}
    for number in (0, 1):
        table |= dense(f"{theirs}/MlpBlock_0/Dense_{number}", f"{ours}.mlp.fc{number + 1}")
    return table


def _names() -> dict[str, str]:
    table = {
        "params/t": "logit_scale",
        "params/b": "logit_bias",
        f"{IMAGE}/pos_embedding": f"vision_model.{POSITIONS}",
        f"{TEXT}/pos_embedding": f"text_model.{POSITIONS}",
        f"{TEXT}/Embed_0/embedding": "text_model.embeddings.token_embedding.weight",
        f"{POOL}/probe": f"{HEAD}.probe",
        **dense(f"{IMAGE}/embedding", "vision_model.embeddings.patch_embedding"),
        **norm(f"{IMAGE}/Transformer/encoder_norm", "vision_model.post_layernorm"),
        **norm(f"{TEXT}/Encoder_0/encoder_norm", "text_model.final_layer_norm"),
        **dense(f"{TEXT}/head", "text_model.head"),
        **norm(f"{POOL}/LayerNorm_0", f"{HEAD}.layernorm"),
        **_mlp(POOL, HEAD),
        **dense(f"{POOL}/{ATTENTION}/out", f"{HEAD}.attention.out_proj"),
    }
    for part in PARTS:
        table |= dense(f"{POOL}/{ATTENTION}/{part}", f"{HEAD}.attention.{part}")
    for block, layer in ((IMAGE_BLOCK, IMAGE_LAYER), (TEXT_BLOCK, TEXT_LAYER)):
        table |= _mlp(block, layer)
        table |= dense(f"{block}/{ATTENTION}/out", f"{layer}.self_attn.out_proj")
        for number in (0, 1):
            table |= norm(f"{block}/LayerNorm_{number}", f"{layer}.layer_norm{number + 1}")
        for theirs, ours in PARTS.items():
            table |= dense(f"{block}/{ATTENTION}/{theirs}", f"{layer}.self_attn.{ours}")
    return table


def _heads(half: str) -> Callable[[Any], int]:
    return lambda config: getattr(config, half).num_attention_heads


def merged(attention: str, parts: tuple[str, ...], half: str) -> list[Step]:
    """One axis in place of heads and their width: the last of projections, the first of what leads
    back."""
    heads = _heads(half)
    last = [
        Reshape(
            f"{attention}.{part}.{kind}",
            lambda _, shape: (*shape[:-2], shape[-2] * shape[-1]),
            lambda config, shape: (*shape[:-1], heads(config), shape[-1] // heads(config)),
        )
        for part in parts
        for kind in ("weight", "bias")
    ]
    first = Reshape(
        f"{attention}.out_proj.weight",
        lambda _, shape: (shape[0] * shape[1], shape[2]),
        lambda config, shape: (heads(config), shape[0] // heads(config), shape[1]),
    )
    return [*last, first]


def convolved(weight: str) -> list[Step]:
    """The kernel of a convolution: flax has rows, columns, input and output in this order."""
    return [Transpose(weight, dims) for dims in ((0, 3), (1, 2), (2, 3))]


def transposed(*layers: str) -> list[Step]:
    """Dense layers, which flax stores input by input."""
    return [Transpose(f"{layer}.weight") for layer in layers]


def _steps() -> list[Step]:
    names = (*PARTS.values(), "out_proj")
    every = [f"{HEAD}.attention.{part}" for part in (*PARTS, "out_proj")]
    every += ["text_model.head", f"{HEAD}.mlp.fc1", f"{HEAD}.mlp.fc2"]
    for layer in (IMAGE_LAYER, TEXT_LAYER):
        every += [f"{layer}.self_attn.{name}" for name in names]
        every += [f"{layer}.mlp.fc1", f"{layer}.mlp.fc2"]
    return [
        Renames(_names()),
        squeeze(POSITIONS),
        *convolved(PATCHES),
        *merged(f"{IMAGE_LAYER}.self_attn", tuple(PARTS.values()), "vision_config"),
        *merged(f"{TEXT_LAYER}.self_attn", tuple(PARTS.values()), "text_config"),
        *merged(f"{HEAD}.attention", tuple(PARTS), "vision_config"),
        *transposed(*every),
        *(
            Concatenate(
                tuple(f"{HEAD}.attention.{part}.{kind}" for part in PARTS),
                f"{HEAD}.attention.in_proj_{kind}",
            )
            for kind in ("weight", "bias")
        ),
    ]


def _half(shapes: Shapes, block: str) -> dict[str, Any]:
    first = block.replace("*", "0")
    width, heads, _ = shapes[f"{first}/{ATTENTION}/query/kernel"]
    return {
        "hidden_size": width,
        "intermediate_size": shapes[f"{first}/MlpBlock_0/Dense_0/kernel"][1],
        "num_hidden_layers": shapes.count(f"{block}/LayerNorm_0/scale"),
        "num_attention_heads": heads,
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    patch, _, channels, _ = shapes[f"{IMAGE}/embedding/kernel"]
    count = shapes[f"{IMAGE}/pos_embedding"][1]
    return {
        "text_config": _half(shapes, TEXT_BLOCK)
        | {
            "vocab_size": shapes[f"{TEXT}/Embed_0/embedding"][0],
            "max_position_embeddings": shapes[f"{TEXT}/pos_embedding"][1],
        },
        "vision_config": _half(shapes, IMAGE_BLOCK)
        | {
            "num_channels": channels,
            "patch_size": patch,
            "image_size": ODD_SIZES.get((patch, count)) or round(count**0.5) * patch,
        },
    }


BIG_VISION = Layout(
    architecture="SiglipModel",
    storage=NumpyArchive(name="siglip.npz"),
    steps=_steps(),
    infer=_infer,
    marks=("params/t", "params/b", f"{IMAGE}/embedding/kernel", f"{TEXT}/Embed_0/embedding"),
    ignored=("opt/**", "chrono/**"),
)
