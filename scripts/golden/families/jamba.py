"""Golden cases of Jamba.

The reference makes no cache of its own outside of `generate`, so calls go without.
"""

from __future__ import annotations

from cases import Call, Family, causal_lm_calls, decoder_calls, ints, labelled, padding
from llama_cases import SIZES, balanced_calls


def without_cache(calls: list[Call]) -> list[Call]:
    """Those of `calls` that are one forward pass, without a cache, and those of `generate`."""
    chosen = [one for one in calls if len(one.steps) == 1]
    for one in chosen:
        if one.method == "forward":
            one.steps[0]["use_cache"] = False
    return chosen


family = Family(
    package="models-text",
    model_type="jamba",
    config_class="JambaConfig",
    sizes=SIZES
    | {
        "num_hidden_layers": 3,
        "num_experts": 4,
        "attn_layer_period": 3,
        "attn_layer_offset": 1,
        "mamba_d_state": 4,
        "use_mamba_kernels": False,
    },
)
family.case("JambaModel", without_cache(decoder_calls(positions=False)))
family.case(
    "JambaModel",
    without_cache(decoder_calls(positions=False)),
    "sizes",
    num_hidden_layers=4,
    attn_layer_period=2,
    attn_layer_offset=0,
    expert_layer_period=4,
    expert_layer_offset=2,
    mamba_d_conv=3,
    mamba_expand=1,
    mamba_dt_rank=5,
    mamba_conv_bias=False,
    mamba_proj_bias=True,
    tie_word_embeddings=True,
    output_router_logits=True,
)
family.case("JambaForCausalLM", without_cache(causal_lm_calls()))
family.case(
    "JambaForCausalLM", without_cache(balanced_calls()), "balanced", router_aux_loss_coef=0.5
)
family.case(
    "JambaForSequenceClassification",
    without_cache(labelled("classify", (3, 6), padding(6, 6, 4, 3), labels=ints([2, 0, 1]))),
    num_labels=3,
)
