"""LAVIS's original checkpoints of BLIP-2: one pickled file with all parts.

Biases of queries and values are stored apart, those of keys are zero. Nothing in the file says how
many heads the language model has; those of the releases follow from the width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles, Zeros
from dovetail.mapping import Concatenate, Step
from dovetail_models_vision.blip.conversion import BLOCK, HEAD_WIDTH, LAYER, VISION, vision_sizes

QFORMER = "Qformer.bert"
QLAYER = f"{QFORMER}.encoder.layer.*"
FEED = ("intermediate", "output", "intermediate_query", "output_query")
HEADS = {1408: 16, 2560: 32, 4096: 32, 5120: 40}
"""Heads by width where they are not 64 wide: EVA's ViT-g, OPT and Vicuna."""
NAMES = {
    **{theirs: ours for theirs, ours in VISION.items() if "visual_encoder.norm" not in theirs},
    f"{BLOCK}.attn.qkv.*": f"{LAYER}.self_attn.qkv.*",
    "ln_vision.*": "vision_model.post_layernorm.*",
    "query_tokens": "query_tokens",
    f"{QLAYER}.attention.self.**": "qformer.encoder.layer.*.attention.attention.**",
    f"{QLAYER}.crossattention.self.**": "qformer.encoder.layer.*.crossattention.attention.**",
    f"{QLAYER}.attention.output.**": "qformer.encoder.layer.*.attention.output.**",
    f"{QLAYER}.crossattention.output.**": "qformer.encoder.layer.*.crossattention.output.**",
    **{f"{QLAYER}.{part}.**": f"qformer.encoder.layer.*.{part}.**" for part in FEED},
}
IGNORED = (
    f"{QFORMER}.embeddings.position_ids",
    "Qformer.cls.**",
    "**.rotary_emb.inv_freq",
    "temp",
)


def fused_biases(config: Any) -> Sequence[Step]:
    """The bias of the image encoder's three projections, of which the original lacks the second."""
    block = "visual_encoder.blocks.{}.attn.{}_bias"
    vision = config.vision_config
    zeros = {
        block.format(layer, "k"): (vision.hidden_size,)
        for layer in range(vision.num_hidden_layers if vision.qkv_bias else 0)
    }
    sources = tuple(f"attn.{part}_bias" for part in "qkv")
    return Zeros(lambda _: zeros), Concatenate(sources, "attn.qkv.bias")


def steps(names: Mapping[str, str]) -> Any:
    """The steps of a layout with such names."""
    return lambda config: (*fused_biases(config), Renames({**NAMES, **names}))


def qformer_sizes(shapes: Shapes) -> dict[str, Any]:
    """The config of the Q-Former, from its shapes."""
    queries, width = shapes["query_tokens"][1:]
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": shapes.count(f"{QLAYER}.intermediate_query.dense.weight"),
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "intermediate_size": shapes[f"{QFORMER}.encoder.layer.0.intermediate_query.dense.weight"][
            0
        ],
    }
    words = f"{QFORMER}.embeddings.word_embeddings.weight"
    if words in shapes:
        places = f"{QFORMER}.embeddings.position_embeddings.weight"
        sizes |= {"vocab_size": shapes[words][0], "max_position_embeddings": shapes[places][0]}
    read = [
        int(name.split(".")[4])
        for name in shapes
        if name.startswith(f"{QFORMER}.encoder.layer.")
        and name.endswith(".crossattention.self.query.weight")
    ]
    sizes["cross_attention_frequency"] = (
        sorted(read)[1] if len(read) > 1 else max(sizes["num_hidden_layers"], 1)
    )
    return {"qformer_config": sizes, "num_query_tokens": queries}


def seen_sizes(shapes: Shapes) -> dict[str, Any]:
    """The config of image encoder and Q-Former, from their shapes."""
    vision = vision_sizes(shapes, HEADS)
    vision["qkv_bias"] = "visual_encoder.blocks.0.attn.q_bias" in shapes
    return {"vision_config": vision, **qformer_sizes(shapes)}


def opt_sizes(shapes: Shapes, model: str) -> dict[str, Any]:
    """The config of an OPT under the name `model`."""
    decoder = f"{model}.model.decoder"
    vocabulary, embedded = shapes[f"{decoder}.embed_tokens.weight"]
    feed, width = shapes[f"{decoder}.layers.0.fc1.weight"]
    return {
        "model_type": "opt",
        "vocab_size": vocabulary,
        "word_embed_proj_dim": embedded,
        "hidden_size": width,
        "ffn_dim": feed,
        "num_hidden_layers": shapes.count(f"{decoder}.layers.*.fc1.weight"),
        "num_attention_heads": HEADS.get(width) or max(width // HEAD_WIDTH, 1),
        "max_position_embeddings": shapes[f"{decoder}.embed_positions.weight"][0] - 2,
    }


def t5_sizes(shapes: Shapes, model: str) -> dict[str, Any]:
    """The config of a T5 of version 1.1 under the name `model`."""
    attention = f"{model}.encoder.block.0.layer.0.SelfAttention"
    buckets, heads = shapes[f"{attention}.relative_attention_bias.weight"]
    inner, width = shapes[f"{attention}.q.weight"]
    return {
        "model_type": "t5",
        "vocab_size": shapes[f"{model}.shared.weight"][0],
        "d_model": width,
        "d_kv": inner // heads,
        "d_ff": shapes[f"{model}.encoder.block.0.layer.1.DenseReluDense.wo.weight"][1],
        "num_layers": shapes.count(f"{model}.encoder.block.*.layer.0.SelfAttention.q.weight"),
        "num_decoder_layers": shapes.count(
            f"{model}.decoder.block.*.layer.0.SelfAttention.q.weight"
        ),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    }


def writer(
    architecture: str, model: str, projection: str, sizes: Any, norm: str, mark: str, **rest: Any
) -> Layout:
    """The layout of a model whose language model lies under the name `model`, and what projects to
    it under `projection`; `norm` is the Q-Former's first."""
    names = {
        f"{model}.**": "language_model.**",
        f"{projection}.*": "language_projection.*",
        f"{QFORMER}.embeddings.LayerNorm.*": f"{norm}.*",
    }
    if norm != "qformer.layernorm":
        names[f"{QFORMER}.embeddings.*_embeddings.weight"] = (
            "qformer.embeddings.*_embeddings.weight"
        )

    def infer(
        settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {**seen_sizes(shapes), "text_config": sizes(shapes, model)}

    return Layout(
        architecture=architecture,
        storage=TorchFiles(pattern="*.pth", name="model.pth", state=("model",)),
        steps=steps(names),
        infer=infer,
        marks=("query_tokens", f"{projection}.weight", mark),
        ignored=IGNORED,
        **rest,
    )


TIED_OPT = {
    "language_model.model.decoder.embed_tokens.weight": (
        "language_model.model.decoder.embed_tokens.weight",
        "language_model.lm_head.weight",
    )
}
TIED_T5 = {
    "language_model.shared.weight": (
        "language_model.shared.weight",
        "language_model.encoder.embed_tokens.weight",
        "language_model.decoder.embed_tokens.weight",
    )
}
NORM, WRITER = "qformer.layernorm", "Blip2ForConditionalGeneration"
WORDS = (f"{QFORMER}.embeddings.word_embeddings.weight",)
OPT = writer(
    WRITER,
    "opt_model",
    "opt_proj",
    opt_sizes,
    NORM,
    "opt_model.model.decoder.embed_tokens.weight",
    copies=TIED_OPT,
    strangers=WORDS,
)
FLAN_T5 = writer(
    WRITER, "t5_model", "t5_proj", t5_sizes, NORM, "t5_model.shared.weight",
    copies=TIED_T5, strangers=WORDS,
)  # fmt: skip


def _compared(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    found = seen_sizes(shapes)
    found["qformer_config"]["use_qformer_text_input"] = True
    return {**found, "image_text_hidden_size": shapes["vision_proj.weight"][0]}


MATCHING = Layout(
    architecture="Blip2ForImageTextRetrieval",
    storage=TorchFiles(pattern="*.pth", name="model.pth", state=("model",)),
    steps=steps(
        {
            "vision_proj.*": "vision_projection.*",
            "text_proj.*": "text_projection.*",
            "itm_head.*": "itm_head.*",
            f"{QFORMER}.embeddings.LayerNorm.*": "qformer.layernorm.*",
            f"{QFORMER}.embeddings.*_embeddings.weight": "embeddings.*_embeddings.weight",
        }
    ),
    infer=_compared,
    marks=("query_tokens", "itm_head.weight", "vision_proj.weight"),
    ignored=IGNORED,
)
