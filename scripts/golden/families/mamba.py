"""Golden cases of Mamba."""

from __future__ import annotations

from cases import Family
from mamba_cases import SIZES, body_calls, language_model_calls

family = Family(
    package="models-text",
    model_type="mamba",
    config_class="MambaConfig",
    sizes=SIZES,
)
family.case("MambaModel", body_calls())
family.case(
    "MambaModel",
    body_calls(),
    "sizes",
    state_size=6,
    conv_kernel=3,
    expand=1,
    time_step_rank=5,
    use_bias=True,
    use_conv_bias=False,
    residual_in_fp32=False,
)
family.case("MambaForCausalLM", language_model_calls())
