"""Meta's release of Llama 3.2 Vision: ``consolidated*.pth``, one file per model-parallel rank, and
``params.json``.

Layers that read pictures are counted apart from those that read text; positions are one table of
tiles, of which the Hub's has the tiles of each aspect ratio; rotary pairs are neighbours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail.converting import (
    Concatenate,
    Crop,
    Drop,
    Layout,
    OneByOne,
    Renames,
    Reshape,
    RotaryHalves,
    Shapes,
    TorchFiles,
)
from dovetail.mapping import Step, Tensors
from dovetail.weights import DerivedTensor, LazyTensor
from dovetail_models_text.llama.conversion import SCALING
from dovetail_models_vision.mllama.image_processing import get_all_supported_aspect_ratios
from dovetail_models_vision.mllama.vision import EXTRA_TOKENS

HEAD = 80
"""Channels of a head of the tower; no file says it."""
CONTEXT = 131072
PADDING = 128004
TEXT, PICTURES, JOINT = "text.layers", "pictures.layers", "language_model.model.layers"
"""Layers counted apart, and the Hub's name of all."""
LAYERS = {TEXT: "text_model.layers", PICTURES: "text_model.cross_attention_layers"}
OWN = {TEXT: "self_attn", PICTURES: "cross_attn"}
BOTH = {
    "attention_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "feed_forward.w1.weight": "mlp.gate_proj.weight",
    "feed_forward.w2.weight": "mlp.down_proj.weight",
    "feed_forward.w3.weight": "mlp.up_proj.weight",
}
CROSS = {
    "attention.q_norm.weight": "cross_attn.q_norm.weight",
    "attention.k_norm.weight": "cross_attn.k_norm.weight",
    "gate_attn": "cross_attn_attn_gate",
    "gate_ffwd": "cross_attn_mlp_gate",
}
TOWER = "vision_model.vision_encoder"
TILES = "vision_model.*_tile_positional_embedding"
POSITIONS = "vision_model.gated_positional_embedding"
WHOLE = {
    "text_model.norm.weight": "language_model.model.norm.weight",
    "text_model.output.weight": "language_model.lm_head.weight",
    f"{TOWER}.class_embedding": "vision_model.class_embedding",
    f"{TOWER}.conv1._linear.weight": "vision_model.patch_embedding.weight",
    f"{TOWER}.positional_embedding": f"{POSITIONS}.embedding",
    f"{TOWER}.gated_positional_embedding": f"{POSITIONS}.tile_embedding.weight",
    f"{TOWER}.gated_positional_embedding_gate": f"{POSITIONS}.gate",
    f"{TOWER}.*_tile_pos_embed.embedding": f"{TILES}.embedding.weight",
    f"{TOWER}.*_tile_pos_embed.gate": f"{TILES}.gate",
    f"{TOWER}.ln_*.*": "vision_model.layernorm_*.*",
    f"{TOWER}.*.resblocks.*.gate_*": "vision_model.*.layers.*.gate_*",
    "vision_model.vision_projection.*": "multi_modal_projector.*",
}
BLOCK = {
    **{f"attn.w{one}.weight": f"self_attn.{one}_proj.weight" for one in "qkvo"},
    "ln_1.*": "input_layernorm.*",
    "ln_2.*": "post_attention_layernorm.*",
    "mlp.c_fc.*": "mlp.fc1.*",
    "mlp.c_proj.*": "mlp.fc2.*",
}
EMBEDDINGS = "language_model.model.embed_tokens.weight"
DIMS = (
    ("text_model.tok_embeddings.weight", 0),
    ("text_model.learnable_embedding.weight", 0),
    ("text_model.output.weight", 0),
    *((f"attention.w{one}.weight", 0) for one in "qkv"),
    ("attention.wo.weight", 1),
    ("feed_forward.w1.weight", 0),
    ("feed_forward.w2.weight", 1),
    ("feed_forward.w3.weight", 0),
    (f"{TOWER}.conv1._linear.weight", 0),
    *((f"attn.w{one}.weight", 0) for one in "qkv"),
    ("attn.wo.weight", 1),
    ("mlp.c_fc.weight", 0),
    ("mlp.c_fc.bias", 0),
    ("mlp.c_proj.weight", 1),
    ("vision_projection.weight", 0),
    ("vision_projection.bias", 0),
)


def renamed() -> dict[str, str]:
    """The name of each of the original's tensors, layers still counted apart."""
    table = dict(WHOLE)
    for kind, old in LAYERS.items():
        table |= {f"{old}.*.{name}": f"{kind}.*.{new}" for name, new in BOTH.items()}
        for one in "qkvo":
            table[f"{old}.*.attention.w{one}.weight"] = f"{kind}.*.{OWN[kind]}.{one}_proj.weight"
    table |= {f"{LAYERS[PICTURES]}.*.{name}": f"{PICTURES}.*.{new}" for name, new in CROSS.items()}
    for name, new in BLOCK.items():
        table[f"{TOWER}.*.resblocks.*.{name}"] = f"vision_model.*.layers.*.{new}"
    return table


@dataclass(frozen=True)
class Interleaved(Step):
    """Layers that read text and layers that read pictures in one row, as the config says."""

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Count all layers together."""
        places = layer_places(config.text_config)
        return {_moved(name, places): tensor for name, tensor in tensors.items()}

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Count both kinds apart."""
        places = {new: old for old, new in layer_places(config.text_config).items()}
        return {_moved(name, places): tensor for name, tensor in tensors.items()}


def layer_places(config: Any) -> dict[str, str]:
    """From ``kind.number`` of a layer to its name on the Hub."""
    reading = set(config.cross_attention_layers)
    text = [layer for layer in range(config.num_hidden_layers) if layer not in reading]
    kinds = {TEXT: text, PICTURES: sorted(reading)}
    return {
        f"{kind}.{number}": f"{JOINT}.{place}"
        for kind, places in kinds.items()
        for number, place in enumerate(places)
    }


def _moved(name: str, places: Mapping[str, str]) -> str:
    found = re.match(r"(.*?layers\.\d+)(\..*)", name)
    return places.get(found[1], found[1]) + found[2] if found else name


@dataclass(frozen=True)
class TilesOfRatios(OneByOne):
    """A table of tiles (rows, columns, patches, width) as one row for each aspect ratio, with its
    tiles one after another; the first row, and what a ratio has no tiles for, is zero."""

    def forward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """A row for each aspect ratio."""
        vision = config.vision_config
        tiles, ratios = vision.max_num_tiles, vision.supported_aspect_ratios
        patches = vision.num_patches if tensor.shape[2] > 1 else 1
        shape = (len(ratios) + 1, tiles * patches * tensor.shape[3])

        def spread(parts: list[Tensor]) -> Tensor:
            table = resampled(parts[0], patches)
            made = table.new_zeros(len(ratios) + 1, tiles, *table.shape[2:])
            for number, (rows, columns) in enumerate(ratios, 1):
                made[number, : rows * columns] = table[:rows, :columns].flatten(0, 1)
            return made.view(shape)

        return DerivedTensor([tensor], shape, spread)

    def backward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """The table; tiles that no aspect ratio has are zero."""
        vision = config.vision_config
        tiles, ratios, width = (
            vision.max_num_tiles,
            vision.supported_aspect_ratios,
            vision.hidden_size,
        )
        patches = tensor.shape[1] // (tiles * width)
        shape = (tiles, tiles, patches, width)

        def gather(parts: list[Tensor]) -> Tensor:
            rows_of = parts[0].view(-1, tiles, patches, width)
            table = parts[0].new_zeros(shape)
            for number, (rows, columns) in enumerate(ratios, 1):
                found = rows_of[number, : rows * columns]
                table[:rows, :columns] = found.unflatten(0, (rows, columns))
            return table

        return DerivedTensor([tensor], shape, gather)


@dataclass(frozen=True)
class Resampled(OneByOne):
    """Positions (patches, width), which the original may have for tiles of another size."""

    def forward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """Those of the config's tiles."""
        shape = (config.vision_config.num_patches, tensor.shape[1])
        return DerivedTensor([tensor], shape, lambda parts: resampled(parts[0], shape[0]))

    def backward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """As they are."""
        return tensor


def resampled(positions: Tensor, patches: int) -> Tensor:
    """Positions (..., 1 + patches, width) of a square tile for one of another size; the first is of
    the tile as a whole."""
    if positions.shape[-2] == patches:
        return positions
    before, after = (math.isqrt(count - 1) for count in (positions.shape[-2], patches))
    flat = positions.reshape(-1, *positions.shape[-2:])
    grid = flat[:, 1:].unflatten(1, (before, before)).permute(0, 3, 1, 2).float()
    grid = F.interpolate(grid, (after, after), mode="bicubic", align_corners=False)
    grid = grid.flatten(2).transpose(1, 2).to(positions.dtype)
    return torch.cat((flat[:, :1], grid), 1).reshape(*positions.shape[:-2], patches, -1)


def _image_shape(config: Any, shape: Sequence[int]) -> tuple[int, ...]:
    vision = config.vision_config
    return shape[0], vision.num_channels, vision.patch_size, vision.patch_size


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    text = _text(settings, shapes)
    return {
        "text_config": text,
        "vision_config": _vision(settings, shapes),
        "image_token_index": text["vocab_size"],
    }


def _text(settings: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    layers = shapes.count(f"{LAYERS[TEXT]}.*.attention_norm.weight")
    reading = shapes.count(f"{LAYERS[PICTURES]}.*.attention_norm.weight")
    every = math.ceil(layers / reading)
    heads = settings["n_heads"]
    vocabulary, width = shapes["text_model.tok_embeddings.weight"]
    found = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "pad_token_id": PADDING if vocabulary > PADDING else None,
        "intermediate_size": shapes[f"{LAYERS[TEXT]}.0.feed_forward.w1.weight"][0],
        "num_hidden_layers": layers + reading,
        "num_attention_heads": heads,
        "num_key_value_heads": settings.get("n_kv_heads", heads),
        "rms_norm_eps": settings["norm_eps"],
        "rope_theta": settings["rope_theta"],
        "max_position_embeddings": CONTEXT,
        "cross_attention_layers": list(range(every - 1, layers + reading, every + 1)),
    }
    return found | ({"rope_scaling": dict(SCALING)} if settings.get("use_scaled_rope") else {})


def _vision(settings: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    width = shapes[f"{TOWER}.class_embedding"][0]
    tiles = settings["vision_max_num_chunks"]
    return {
        "hidden_size": width,
        "attention_heads": max(width // HEAD, 1),
        "num_hidden_layers": shapes.count(f"{TOWER}.transformer.resblocks.*.ln_1.weight"),
        "num_global_layers": shapes.count(f"{TOWER}.global_transformer.resblocks.*.ln_1.weight"),
        "intermediate_size": shapes[f"{TOWER}.transformer.resblocks.0.mlp.c_fc.weight"][0],
        "vision_output_dim": shapes["vision_model.vision_projection.weight"][1],
        "image_size": settings["vision_chunk_size"],
        "patch_size": math.isqrt(shapes[f"{TOWER}.conv1._linear.weight"][1] // 3),
        "max_num_tiles": tiles,
        "supported_aspect_ratios": [list(one) for one in get_all_supported_aspect_ratios(tiles)],
    }


def _restore(config: Any) -> dict[str, Any]:
    text, vision = config.text_config, config.vision_config
    reading = len(text.cross_attention_layers)
    settings = {
        "dim": text.hidden_size,
        "n_layers": text.num_hidden_layers - reading,
        "n_heads": text.num_attention_heads,
        "n_kv_heads": text.num_key_value_heads,
        "norm_eps": text.rms_norm_eps,
        "rope_theta": text.rope_theta,
        "vocab_size": text.vocab_size,
        "vision_chunk_size": vision.image_size,
        "vision_max_num_chunks": vision.max_num_tiles,
        "vision_num_cross_attention_layers": reading,
    }
    scaled = (text.rope_scaling or {}).get("rope_type") == "llama3"
    return settings | ({"use_scaled_rope": True} if scaled else {})


META = Layout(
    architecture="MllamaForConditionalGeneration",
    storage=TorchFiles(
        pattern="consolidated*.pth",
        name="consolidated.{rank:02d}.pth",
        dims=DIMS,
        settings_file="params.json",
    ),
    steps=(
        Drop("text_model.rope.freqs"),
        RotaryHalves(
            f"{LAYERS[TEXT]}.*.attention.wq.weight",
            lambda config: config.text_config.num_attention_heads,
        ),
        RotaryHalves(
            f"{LAYERS[TEXT]}.*.attention.wk.weight",
            lambda config: config.text_config.num_key_value_heads,
        ),
        Concatenate(
            ("text_model.tok_embeddings.weight", "text_model.learnable_embedding.weight"),
            EMBEDDINGS,
            sizes=lambda config: (config.text_config.vocab_size, EXTRA_TOKENS),
        ),
        Reshape(
            f"{TOWER}.conv1._linear.weight",
            _image_shape,
            lambda _, shape: (shape[0], math.prod(shape[1:])),
        ),
        Crop(f"{LAYERS[PICTURES]}.*.gate_attn", lambda _: 1),
        Crop(f"{LAYERS[PICTURES]}.*.gate_ffwd", lambda _: 1),
        Resampled(f"{TOWER}.positional_embedding"),
        TilesOfRatios(f"{TOWER}.gated_positional_embedding"),
        TilesOfRatios(f"{TOWER}.*_tile_pos_embed.embedding"),
        Renames({EMBEDDINGS: EMBEDDINGS} | renamed()),
        Interleaved(),
    ),
    infer=_infer,
    restore=_restore,
    marks=("text_model.tok_embeddings.weight", f"{TOWER}.class_embedding"),
    keys=("vision_chunk_size",),
    files={"tokenizer.model": "tokenizer.model"},
)
