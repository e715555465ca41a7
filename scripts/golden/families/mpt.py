"""Golden cases of MPT."""

from __future__ import annotations

import decoder_cases
from cases import WIDTH, Family, decoder_calls

family = Family(
    package="models-text",
    model_type="mpt",
    config_class="MptConfig",
    sizes={
        "vocab_size": 99,
        "d_model": WIDTH,
        "n_layers": 2,
        "n_heads": 4,
        "max_seq_len": 40,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "use_cache": True,
    },
)
family.case("MptModel", decoder_calls(positions=False))
family.case(
    "MptModel",
    decoder_calls(width=36, positions=False)[:5],
    "six-heads",
    n_heads=6,
    d_model=36,
    attn_config={"clip_qkv": 0.5, "softmax_scale": 0.3},
)
decoder_cases.causal_lm(family, "MptForCausalLM")
decoder_cases.heads(family, "Mpt")

for case in family.cases:  # positions are those of the keys
    for call in case.calls:
        for step in call.steps:
            step.pop("position_ids", None)
