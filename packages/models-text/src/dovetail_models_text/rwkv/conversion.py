"""BlinkDL's release of RWKV-4: one ``.pth`` without settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles

BLOCK = "rwkv.blocks.*"
MIXES = {"k": "key", "v": "value", "r": "receptance"}


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    vocabulary, width = shapes["emb.weight"]
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": shapes.count("blocks.*.att.key.weight"),
        "attention_hidden_size": shapes["blocks.0.att.key.weight"][0],
        "intermediate_size": shapes["blocks.0.ffn.key.weight"][0],
    }


BLINKDL = Layout(
    architecture="RwkvForCausalLM",
    storage=TorchFiles(pattern="*.pth", name="model.pth"),
    steps=(
        Renames(
            {
                "emb.weight": "rwkv.embeddings.weight",
                "ln_out.*": "rwkv.ln_out.*",
                "head.weight": "head.weight",
                "blocks.*.ln0.*": f"{BLOCK}.pre_ln.*",
                **{
                    f"blocks.*.{old}.time_mix_{letter}": f"{BLOCK}.{new}.time_mix_{name}"
                    for old, new in (("att", "attention"), ("ffn", "feed_forward"))
                    for letter, name in MIXES.items()
                },
                "blocks.*.att.**": f"{BLOCK}.attention.**",
                "blocks.*.ffn.**": f"{BLOCK}.feed_forward.**",
                "blocks.*.ln*.*": f"{BLOCK}.ln*.*",
            }
        ),
    ),
    infer=_infer,
    marks=("emb.weight", "blocks.*.att.time_decay"),
)
