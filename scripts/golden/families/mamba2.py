"""Golden cases of Mamba 2.

The reference's plain computation is wrong between pieces, between groups, behind padding on the
left, and at a step of several texts: here is none of these. They are tested against the recurrence
itself, and by the battery for decoders.
"""

from __future__ import annotations

from cases import Call, Family, ones, token_ids
from mamba_cases import SIZES, body_calls, language_model_calls, step_calls


def sound(calls: list[Call]) -> list[Call]:
    """Those of `calls` that the reference can do, generation of several texts without states."""
    chosen = [one for one in calls if one.name not in ("left-padding", "step")]
    for one in chosen:
        inputs = one.steps[0]
        if one.name == "right-padding":
            inputs["use_cache"] = False
        if one.method == "generate" and one.name not in ("greedy", "beam"):
            batch = {"input_ids": token_ids("generate-batch", 2, 5), "attention_mask": ones(2, 5)}
            inputs |= batch | {"use_cache": False}
    return [*chosen, *step_calls(rows=1)]


family = Family(
    package="models-text",
    model_type="mamba2",
    config_class="Mamba2Config",
    sizes=SIZES | {"num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 32},
)
family.case("Mamba2Model", sound(body_calls()))
family.case(
    "Mamba2Model",
    sound(body_calls()),
    "sizes",
    state_size=6,
    conv_kernel=3,
    expand=1,
    num_heads=4,
    use_conv_bias=False,
    residual_in_fp32=False,
)
family.case("Mamba2ForCausalLM", sound(language_model_calls()))
