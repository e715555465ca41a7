"""Golden cases of GPT-Neo."""

from __future__ import annotations

import decoder_cases
from cases import WIDTH, Family, decoder_calls

family = Family(
    package="models-text",
    model_type="gpt_neo",
    config_class="GPTNeoConfig",
    sizes={
        "vocab_size": 99,
        "hidden_size": WIDTH,
        "num_layers": 2,
        "attention_types": [[["global", "local"], 1]],
        "num_heads": 4,
        "window_size": 4,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
)
decoder_cases.body(family, "GPTNeoModel")
family.case(
    "GPTNeoModel",
    decoder_calls()[:3],
    "local",
    attention_types=[[["local"], 2]],
    intermediate_size=48,
    activation_function="relu",
)
decoder_cases.causal_lm(family, "GPTNeoForCausalLM")
decoder_cases.heads(family, "GPTNeo")

for case in family.cases:  # what padding sees in its window, if only padding, nobody says
    for call in case.calls:
        if call.name == "right-padding":
            call.blank = "attention_mask"
