"""Golden cases of BLOOM."""

from __future__ import annotations

import decoder_cases
from cases import WIDTH, Family, decoder_calls

family = Family(
    package="models-text",
    model_type="bloom",
    config_class="BloomConfig",
    sizes={
        "vocab_size": 99,
        "hidden_size": WIDTH,
        "n_layer": 2,
        "n_head": 4,
        "pad_token_id": 3,
    },
)
decoder_cases.body(family, "BloomModel", positions=False)
family.case(
    "BloomModel",
    decoder_calls(width=36, positions=False)[:5],
    "six-heads",
    n_head=6,
    hidden_size=36,
    apply_residual_connection_post_layernorm=True,
)
decoder_cases.causal_lm(family, "BloomForCausalLM")
decoder_cases.heads(family, "Bloom")

for case in family.cases:  # positions follow from the mask
    for call in case.calls:
        for step in call.steps:
            step.pop("position_ids", None)
