"""Golden cases of GPT-BigCode."""

from __future__ import annotations

import decoder_cases
from cases import WIDTH, Family, decoder_calls, ints, labelled, padding, token_classification

family = Family(
    package="models-text",
    model_type="gpt_bigcode",
    config_class="GPTBigCodeConfig",
    sizes={
        "vocab_size": 99,
        "n_embd": WIDTH,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 40,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
)
decoder_cases.body(family, "GPTBigCodeModel")
family.case(
    "GPTBigCodeModel",
    decoder_calls()[:5],
    "many-keys",
    multi_query=False,
    n_inner=48,
    scale_attn_weights=False,
)
decoder_cases.causal_lm(family, "GPTBigCodeForCausalLM")
family.case(
    "GPTBigCodeForSequenceClassification",
    labelled("classify", (3, 6), padding(6, 6, 4, 3), labels=ints([2, 0, 1])),
    num_labels=3,
)
token_classification(family, "GPTBigCodeForTokenClassification")

for case in family.cases:  # the reference's cache is one tensor per layer
    for call in case.calls:
        if call.method == "forward":
            call.steps[-1]["use_cache"] = False
