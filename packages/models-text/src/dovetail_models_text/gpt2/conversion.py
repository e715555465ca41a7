"""OpenAI's release of GPT-2: a TensorFlow checkpoint and ``hparams.json``."""

from __future__ import annotations

from dovetail.converting import Layout, Renames, TensorFlowFiles, squeeze

NORMS = {
    f"{scope}.{norm}.{old}": f"transformer.{scope_hub}{norm}.{new}"
    for scope, scope_hub, norms in (("model.h*", "h.*.", ("ln_1", "ln_2")),)
    for norm in norms
    for old, new in (("g", "weight"), ("b", "bias"))
}
PRODUCTS = {
    f"model.h*.{product}.{old}": f"transformer.h.*.{product}.{new}"
    for product in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    for old, new in (("w", "weight"), ("b", "bias"))
}

OPENAI = Layout(
    architecture="GPT2LMHeadModel",
    storage=TensorFlowFiles(settings_file="hparams.json"),
    steps=(
        squeeze("w"),
        Renames(
            {
                "model.wte": "transformer.wte.weight",
                "model.wpe": "transformer.wpe.weight",
                "model.ln_f.g": "transformer.ln_f.weight",
                "model.ln_f.b": "transformer.ln_f.bias",
                **NORMS,
                **PRODUCTS,
            }
        ),
    ),
    fields={
        "n_vocab": "vocab_size",
        "n_ctx": "n_positions",
        "n_embd": "n_embd",
        "n_head": "n_head",
        "n_layer": "n_layer",
    },
    marks=("model.wte", "model.h*.attn.c_attn.w"),
    files={"encoder.json": "vocab.json", "vocab.bpe": "merges.txt"},
)
