"""Meta's release of Llama: ``consolidated.NN.pth``, one file per model-parallel rank, and
``params.json``.

Rotary pairs are neighbours there; the width of the MLP is a multiple of a number and follows from
others. Llama 1 and 2 cut the embeddings along their channels, Llama 3 along the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.converting import Layout, Renames, RotaryHalves, Shapes, TorchFiles
from dovetail.mapping import Drop, Step

BIG_VOCABULARY = 100_000
"""That of Llama 2 has 32,000 tokens, that of Llama 3 has 128,256."""
MULTIPLES = (256, 4096, 1024, 1)
SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

EMBEDDINGS = "model.embed_tokens.weight"
ATTENTION = {
    "tok_embeddings.weight": EMBEDDINGS,
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
    "layers.*.attention_norm.weight": "model.layers.*.input_layernorm.weight",
    "layers.*.ffn_norm.weight": "model.layers.*.post_attention_layernorm.weight",
    "layers.*.attention.wq.weight": "model.layers.*.self_attn.q_proj.weight",
    "layers.*.attention.wk.weight": "model.layers.*.self_attn.k_proj.weight",
    "layers.*.attention.wv.weight": "model.layers.*.self_attn.v_proj.weight",
    "layers.*.attention.wo.weight": "model.layers.*.self_attn.o_proj.weight",
}
MLP = {
    "layers.*.feed_forward.w1.weight": "model.layers.*.mlp.gate_proj.weight",
    "layers.*.feed_forward.w2.weight": "model.layers.*.mlp.down_proj.weight",
    "layers.*.feed_forward.w3.weight": "model.layers.*.mlp.up_proj.weight",
}
ROTARY: tuple[Step, ...] = (
    RotaryHalves("attention.wq.weight", lambda config: config.num_attention_heads),
    RotaryHalves("attention.wk.weight", lambda config: config.num_key_value_heads),
)


def embedding_dim(shape: Sequence[int] | None, settings: Mapping[str, Any]) -> int:
    """Along which dimension the embeddings are cut."""
    if shape is not None:
        return 0 if shape[1] == settings.get("dim") else 1
    return 0 if settings.get("vocab_size", 0) >= BIG_VOCABULARY else 1


DIMS = (
    ("tok_embeddings.weight", embedding_dim),
    ("output.weight", 0),
    ("attention.wq.weight", 0),
    ("attention.wk.weight", 0),
    ("attention.wv.weight", 0),
    ("attention.wo.weight", 1),
    ("feed_forward.w1.weight", 0),
    ("feed_forward.w2.weight", 1),
    ("feed_forward.w3.weight", 0),
)


def sizes(shapes: Shapes) -> dict[str, Any]:
    """What the shapes say of the config, in Meta's and in Mistral's releases."""
    return {
        "vocab_size": shapes["tok_embeddings.weight"][0],
        "tie_word_embeddings": "output.weight" not in shapes,
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    inferred = sizes(shapes)
    inferred["intermediate_size"] = shapes["layers.0.feed_forward.w1.weight"][0]
    if inferred["vocab_size"] >= BIG_VOCABULARY:
        inferred |= {"bos_token_id": 128000, "eos_token_id": 128001}
    if settings.get("use_scaled_rope"):
        factor = float(settings.get("rope_scaling_factor", SCALING["factor"]))
        inferred["rope_scaling"] = SCALING | {"factor": factor}
    return inferred | {"max_position_embeddings": _context(settings, inferred)}


def _context(settings: Mapping[str, Any], inferred: Mapping[str, Any]) -> int:
    """The length for which each release was trained; no file says it."""
    if inferred.get("rope_scaling"):
        return 131072
    if inferred["vocab_size"] >= BIG_VOCABULARY:
        return 8192
    if settings.get("rope_theta", 1e4) > 1e4:
        return 16384
    return 4096 if settings.get("norm_eps") == 1e-5 else 2048


def _restore(config: Any) -> dict[str, Any]:
    settings: dict[str, Any] = _width(config)
    scaling = config.rope_scaling or {}
    if scaling.get("rope_type") == "llama3":
        settings["use_scaled_rope"] = True
        if scaling["factor"] != SCALING["factor"]:
            settings["rope_scaling_factor"] = scaling["factor"]
    return settings


def _width(config: Any) -> dict[str, Any]:
    """The numbers of which Meta's code computes the width of the MLP."""
    base, wanted = int(8 * config.hidden_size / 3), config.intermediate_size
    for multiple in MULTIPLES:
        for factor in (None, 1.3, (wanted + 0.5) / base):
            width = int((factor or 1) * base)
            if multiple * -(-width // multiple) == wanted:
                settings: dict[str, Any] = {"multiple_of": multiple}
                return settings if factor is None else settings | {"ffn_dim_multiplier": factor}
    return {}


META = Layout(
    architecture="LlamaForCausalLM",
    storage=TorchFiles(
        pattern="consolidated.*.pth",
        name="consolidated.{rank:02d}.pth",
        dims=DIMS,
        settings_file="params.json",
    ),
    steps=(Drop("rope.freqs"), *ROTARY, Renames(ATTENTION | MLP)),
    fields={
        "dim": "hidden_size",
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "norm_eps": "rms_norm_eps",
    },
    optional={
        "n_kv_heads": "num_key_value_heads",
        "rope_theta": "rope_theta",
        "vocab_size": "vocab_size",
    },
    infer=_infer,
    restore=_restore,
    marks=("tok_embeddings.weight", "layers.*.feed_forward.w1.weight"),
    keys=("multiple_of",),
    copies={EMBEDDINGS: (EMBEDDINGS, "lm_head.weight")},
    files={"tokenizer.model": "tokenizer.model"},
)
