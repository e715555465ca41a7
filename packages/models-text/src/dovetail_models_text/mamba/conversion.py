"""The release of Mamba by its authors (state-spaces): ``pytorch_model.bin`` and ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles

EMBEDDINGS = "backbone.embeddings.weight"
TABLE = {
    "backbone.embedding.weight": EMBEDDINGS,
    "backbone.**": "backbone.**",
    "lm_head.weight": "lm_head.weight",
}
STORAGE = TorchFiles(
    pattern="pytorch_model.bin", name="pytorch_model.bin", settings_file="config.json"
)
FIELDS = {"d_model": "hidden_size", "n_layer": "num_hidden_layers"}
OPTIONAL = {
    "residual_in_fp32": "residual_in_fp32",
    "ssm_cfg.d_conv": "conv_kernel",
    "ssm_cfg.expand": "expand",
}


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    inner, state = shapes["backbone.layers.0.mixer.A_log"]
    return {
        "vocab_size": shapes["backbone.embedding.weight"][0],
        "intermediate_size": inner,
        "state_size": state,
        "time_step_rank": shapes["backbone.layers.0.mixer.dt_proj.weight"][1],
    }


STATE_SPACES = Layout(
    architecture="MambaForCausalLM",
    storage=STORAGE,
    steps=(Renames(TABLE),),
    fields=FIELDS,
    optional=OPTIONAL,
    infer=_infer,
    restore=lambda config: {"vocab_size": config.vocab_size, "rms_norm": True},
    marks=("backbone.embedding.weight", "backbone.layers.*.mixer.x_proj.weight"),
    keys=("d_model",),
    copies={EMBEDDINGS: (EMBEDDINGS, "lm_head.weight")},
)
