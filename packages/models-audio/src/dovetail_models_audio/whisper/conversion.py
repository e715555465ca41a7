"""OpenAI's checkpoints of Whisper: ``tiny.pt`` and the like, with tensors and dimensions.

The tokens that frame a text follow from the size of the vocabulary: that of the English models is
one smaller than the first multilingual one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles

MULTILINGUAL = 51865
"""Tokens of the smallest vocabulary of several languages."""
END = 50256
"""The token that ends an English text; the one of several languages follows it."""
ATTENTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}


def _names() -> dict[str, str]:
    table = {
        "encoder.conv1.*": "encoder.conv1.*",
        "encoder.conv2.*": "encoder.conv2.*",
        "encoder.positional_embedding": "encoder.embed_positions.weight",
        "encoder.ln_post.*": "encoder.layer_norm.*",
        "decoder.token_embedding.weight": "decoder.embed_tokens.weight",
        "decoder.positional_embedding": "decoder.embed_positions.weight",
        "decoder.ln.*": "decoder.layer_norm.*",
    }
    for stack in ("encoder", "decoder"):
        block, layer = f"{stack}.blocks.*", f"{stack}.layers.*"
        kinds = {"attn": "self_attn", "cross_attn": "encoder_attn"}
        for theirs, ours in kinds.items() if stack == "decoder" else [("attn", "self_attn")]:
            table[f"{block}.{theirs}_ln.*"] = f"{layer}.{ours}_layer_norm.*"
            for part, name in ATTENTION.items():
                table[f"{block}.{theirs}.{part}.*"] = f"{layer}.{ours}.{name}.*"
        table[f"{block}.mlp.0.*"] = f"{layer}.fc1.*"
        table[f"{block}.mlp.2.*"] = f"{layer}.fc2.*"
        table[f"{block}.mlp_ln.*"] = f"{layer}.final_layer_norm.*"
    return table


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    end = END + (settings["n_vocab"] >= MULTILINGUAL)
    return {
        "encoder_ffn_dim": shapes["encoder.blocks.0.mlp.0.weight"][0],
        "decoder_ffn_dim": shapes["decoder.blocks.0.mlp.0.weight"][0],
        "begin_suppress_tokens": None,
        "pad_token_id": end,
        "bos_token_id": end,
        "eos_token_id": end,
        "decoder_start_token_id": end + 1,
    }


def _restore(config: Any) -> dict[str, Any]:
    return {"n_text_state": config.d_model}


OPENAI = Layout(
    architecture="WhisperModel",
    storage=TorchFiles(
        pattern="*.pt",
        name="model.pt",
        state=("model_state_dict",),
        settings=(("dims",),),
        record=dict,
    ),
    steps=(Renames(_names()),),
    fields={
        "n_mels": "num_mel_bins",
        "n_vocab": "vocab_size",
        "n_audio_ctx": "max_source_positions",
        "n_audio_state": "d_model",
        "n_audio_head": "encoder_attention_heads",
        "n_audio_layer": "encoder_layers",
        "n_text_ctx": "max_target_positions",
        "n_text_head": "decoder_attention_heads",
        "n_text_layer": "decoder_layers",
    },
    infer=_infer,
    restore=_restore,
    marks=("encoder.blocks.*.attn.query.weight", "decoder.blocks.*.cross_attn.query.weight"),
    keys=("n_mels",),
)
