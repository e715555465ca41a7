"""Releases of Mamba 2: by its authors (state-spaces), and Mistral's Codestral."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail_models_text.mamba.conversion import EMBEDDINGS, FIELDS, OPTIONAL, STORAGE, TABLE

MIXER = "backbone.layers.0.mixer"


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    (heads,), (inner,) = shapes[f"{MIXER}.A_log"], shapes[f"{MIXER}.norm.weight"]
    vocabulary, width = shapes["backbone.embedding.weight"]
    groups = values.get("n_groups", 1)
    return {
        "vocab_size": vocabulary,
        "num_heads": heads,
        "head_dim": inner // heads,
        "expand": inner / width,
        "n_groups": groups,
        "state_size": (shapes[f"{MIXER}.conv1d.weight"][0] - inner) // (2 * groups),
    }


STATE_SPACES = Layout(
    architecture="Mamba2ForCausalLM",
    storage=STORAGE,
    steps=(Renames(TABLE),),
    fields=FIELDS,
    optional=OPTIONAL | {"ssm_cfg.ngroups": "n_groups", "tie_embeddings": "tie_word_embeddings"},
    constants={
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
    },
    infer=_infer,
    restore=lambda config: {"vocab_size": config.vocab_size, "rms_norm": True},
    marks=("backbone.embedding.weight", "backbone.layers.*.mixer.dt_bias"),
    keys=("d_model",),
    copies={EMBEDDINGS: (EMBEDDINGS, "lm_head.weight")},
)
CODESTRAL = replace(
    STATE_SPACES,
    storage=TorchFiles(
        pattern="consolidated.safetensors",
        name="consolidated.safetensors",
        settings_file="params.json",
    ),
    fields={"dim": "hidden_size", "n_layers": "num_hidden_layers"},
    optional={"n_groups": "n_groups", "tie_embeddings": "tie_word_embeddings"},
    constants={"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    restore=lambda config: {"vocab_size": config.vocab_size, "model_type": "mamba"},
    keys=("dim",),
    files={"tokenizer.model": "tokenizer.model", "tokenizer.model.v3": "tokenizer.model"},
)
