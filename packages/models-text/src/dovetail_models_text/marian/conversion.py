"""Marian's own format: an ``.npz`` archive with the settings inside, as YAML.

Vectors are rows, matrices lead from rows to columns, and layers count from one. The Hub's models
have one token more than Marian's: padding, which is also where decoding starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, NumpyArchive, Pad, Renames, Shapes, TextFile, squeeze
from dovetail.mapping import Transpose

ATTENTIONS = {"self": "self_attn", "context": "encoder_attn"}
PROJECTIONS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}
NORM = {"scale": "weight", "bias": "bias"}
MATRICES = (*(f"{name}.weight" for name in PROJECTIONS.values()), "fc1.weight", "fc2.weight")
NORMS = ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm")
VECTORS = (
    *(f"{name}.bias" for name in (*PROJECTIONS.values(), "fc1", "fc2")),
    *(f"{norm}.{part}" for norm in NORMS for part in NORM.values()),
)
LAYER = "model.*coder.layers.*"
PADDING = "<pad>"
HEX_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def _table() -> dict[str, str]:
    table = {
        "Wemb": "model.shared.weight",
        "encoder_Wemb": "model.encoder.embed_tokens.weight",
        "decoder_Wemb": "model.decoder.embed_tokens.weight",
        "decoder_ff_logit_out_b": "final_logits_bias",
    }
    for kind, name in ATTENTIONS.items():
        for letter, projection in PROJECTIONS.items():
            table[f"*coder_l*_{kind}_W{letter}"] = f"{LAYER}.{name}.{projection}.weight"
            table[f"*coder_l*_{kind}_b{letter}"] = f"{LAYER}.{name}.{projection}.bias"
        for old, new in NORM.items():
            table[f"*coder_l*_{kind}_Wo_ln_{old}"] = f"{LAYER}.{name}_layer_norm.{new}"
    for number in (1, 2):
        table[f"*coder_l*_ffn_W{number}"] = f"{LAYER}.fc{number}.weight"
        table[f"*coder_l*_ffn_b{number}"] = f"{LAYER}.fc{number}.bias"
    for old, new in NORM.items():
        table[f"*coder_l*_ffn_ffn_ln_{old}"] = f"{LAYER}.final_layer_norm.{new}"
    return table


def _from_yaml(text: str) -> str:
    """``vocab.json`` from a vocabulary of Marian's: a line ``token: number`` each."""
    vocabulary: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() in ("", "---", "..."):
            continue
        token, _, value = line.rpartition(":")
        if not value.strip().isdecimal():
            raise ValueError(f"line {number}, {line!r:.80}, is no token with its number")
        vocabulary[_unquoted(token)] = int(value)
    vocabulary.setdefault(PADDING, len(vocabulary))
    return json.dumps(vocabulary, ensure_ascii=False, indent=2) + "\n"


def _unquoted(token: str) -> str:
    if len(token) > 1 and token[0] == token[-1] == "'":
        return token[1:-1].replace("''", "'")
    if len(token) > 1 and token[0] == token[-1] == '"':
        text: str = json.loads(HEX_ESCAPE.sub(r"\\u00\1", token), strict=False)
        return text
    return token


def _to_yaml(text: str) -> str:
    entries = sorted(json.loads(text).items(), key=lambda entry: entry[1])
    lines = (
        f"{json.dumps(token, ensure_ascii=False)}: {number}\n"
        for token, number in entries
        if token != PADDING
    )
    return "".join(lines)


def _vocabulary(hub: str, original: str) -> TextFile:
    return TextFile(hub, original, _from_yaml, _to_yaml)


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    shared = "Wemb" in shapes
    source = shapes["Wemb" if shared else "encoder_Wemb"][0]
    target = shapes["Wemb" if shared else "decoder_Wemb"][0]
    width, heads = settings.get("transformer-dim-ffn"), settings.get("transformer-heads")
    return {
        "vocab_size": source + 1,
        "decoder_vocab_size": target + 1,
        "share_encoder_decoder_embeddings": shared,
        "pad_token_id": target,
        "decoder_start_token_id": target,
        "decoder_ffn_dim": settings.get("transformer-decoder-dim-ffn") or width,
        "decoder_attention_heads": heads,
    }


def _restore(config: Any) -> dict[str, Any]:
    shared = config.share_encoder_decoder_embeddings
    return {
        "type": "transformer",
        "dim-vocabs": [config.vocab_size - 1, config.decoder_vocab_size - 1],
        "tied-embeddings": not shared,
        "tied-embeddings-all": shared,
        "tied-embeddings-src": False,
        "transformer-decoder-dim-ffn": config.decoder_ffn_dim,
        "transformer-postprocess": "dan",
        "transformer-preprocess": "",
    }


NPZ = Layout(
    architecture="MarianMTModel",
    storage=NumpyArchive(settings_member="special:model.yml"),
    steps=(
        Renames(_table(), first=1),
        *map(squeeze, VECTORS),
        *map(Transpose, MATRICES),
        Pad("shared.weight"),
        Pad("embed_tokens.weight"),
        Pad("final_logits_bias", dim=1),
    ),
    fields={
        "dim-emb": "d_model",
        "enc-depth": "encoder_layers",
        "dec-depth": "decoder_layers",
        "transformer-dim-ffn": "encoder_ffn_dim",
        "transformer-heads": "encoder_attention_heads",
    },
    optional={"transformer-ffn-activation": "activation_function"},
    constants={
        "activation_function": "swish",
        "scale_embedding": True,
        "max_position_embeddings": 512,
        "eos_token_id": 0,
    },
    infer=_infer,
    restore=_restore,
    marks=("encoder_l1_self_Wq", "decoder_ff_logit_out_b"),
    files={
        "*src.vocab.yml": _vocabulary("vocab.json", "model.src.vocab.yml"),
        "*trg.vocab.yml": _vocabulary("target_vocab.json", "model.trg.vocab.yml"),
        "*vocab.yml": _vocabulary("vocab.json", "model.vocab.yml"),
        "source.spm": "source.spm",
        "target.spm": "target.spm",
    },
)
