"""Golden cases of Falcon."""

from __future__ import annotations

import decoder_cases
from cases import WIDTH, Family, decoder_calls, values

family = Family(
    package="models-text",
    model_type="falcon",
    config_class="FalconConfig",
    sizes={
        "vocab_size": 99,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
)
family.case("FalconModel", decoder_calls())
family.case(
    "FalconModel",
    decoder_calls()[:5],
    "groups",
    new_decoder_architecture=True,
    num_kv_heads=2,
    bias=True,
    ffn_hidden_size=48,
)
family.case(
    "FalconModel",
    decoder_calls()[:3],
    "one-norm",
    new_decoder_architecture=True,
    num_kv_heads=2,
    num_ln_in_parallel_attn=1,
)
decoder_cases.causal_lm(family, "FalconForCausalLM")
family.case(
    "FalconForCausalLM",
    decoder_calls()[:3],
    "alibi",
    alibi=True,
    parallel_attn=False,
    multi_query=False,
    bias=True,
)
decoder_cases.heads(family, "Falcon")

for case in family.cases[1:3]:  # the reference's cache repeats keys that heads share
    for call in case.calls:
        call.steps[-1]["use_cache"] = False
for call in family.cases[4].calls:  # without a mask of heads the reference adds biases twice
    call.steps[0]["head_mask"] = values([1.0, 1.0, 0.5, 1.0])
