"""Golden cases of Gemma 2.

The reference's own cache is no longer than its first text, so that steps are seen by generation
only, which makes a longer one; texts of which some are padded outgrow no window there.
"""

from __future__ import annotations

from cases import Call, Family, causal_lm_calls, decoder_calls, generation_calls
from llama_cases import SIZES, classifiers, long_calls


def at_once(calls: list[Call]) -> list[Call]:
    """The `calls` of one step, which leave no cache."""
    single = [one for one in calls if len(one.steps) == 1 and one.method == "forward"]
    for one in single:
        one.steps[0]["use_cache"] = False
    return single


family = Family(
    package="models-text",
    model_type="gemma2",
    config_class="Gemma2Config",
    sizes=SIZES
    | {
        "head_dim": 16,
        "query_pre_attn_scalar": 24,
        "sliding_window": 32,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
    },
)
family.case("Gemma2Model", at_once(decoder_calls()))
family.case("Gemma2Model", at_once(long_calls()), "window", sliding_window=3)
family.case(
    "Gemma2Model",
    at_once(decoder_calls()[:2]),
    "unbounded",
    attn_logit_softcapping=None,
    attention_bias=True,
)
family.case("Gemma2ForCausalLM", [*at_once(causal_lm_calls()), *generation_calls()])
family.case(
    "Gemma2ForCausalLM",
    [one for one in generation_calls() if one.name in ("greedy", "beam")],
    "window",
    sliding_window=4,
)
classifiers(family, "Gemma2")
for case in family.cases[-2:]:
    case.calls = at_once(case.calls)
