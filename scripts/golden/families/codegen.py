"""Golden cases of CodeGen."""

from __future__ import annotations

import decoder_cases
from cases import WIDTH, Family, decoder_calls

family = Family(
    package="models-text",
    model_type="codegen",
    config_class="CodeGenConfig",
    sizes={
        "vocab_size": 99,
        "n_embd": WIDTH,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 40,
        "rotary_dim": 4,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
)
decoder_cases.body(family, "CodeGenModel")
family.case(
    "CodeGenModel",
    decoder_calls()[:3],
    "wide",
    n_head=8,
    n_inner=48,
    activation_function="relu",
)
decoder_cases.causal_lm(family, "CodeGenForCausalLM")
